"""Videos in the TensorBoard dashboard."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from torch import Tensor

from pvdm_lightning.data.videos.writing import gif_bytes


class VideoLogger(Callback):
    """Logs real, reconstructed and sampled videos after each validation, as GIFs that play in the IMAGES tab.

    They are written as ready-made GIFs: add_video of the summary writer needs moviepy, and with its second version
    writes nothing.

    Args:
        num_videos: How many videos, side by side; 0 logs none.
        fps: Frames per second.
    """

    def __init__(self, num_videos: int = 4, fps: float = 8) -> None:
        self.num_videos, self.fps = num_videos, fps
        self._batch: dict[str, Tensor] | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0 and trainer.is_global_zero and self.num_videos > 0 and not trainer.sanity_checking:
            self._batch = batch

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batch, self._batch = self._batch, None
        if batch is None or not isinstance(trainer.logger, TensorBoardLogger):
            return
        # In the precision of the run, as validation_step itself.
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            previews = pl_module.sample_for_logging(batch, self.num_videos)  # type: ignore[operator]
        for name, videos in previews.items():
            strip = torch.cat(list(videos.cpu()), dim=3)  # [3 T H N*W]
            log_video(trainer.logger, f"val/{name}", strip, trainer.global_step, self.fps)


def log_video(logger: TensorBoardLogger, tag: str, video: Tensor, step: int, fps: float) -> None:
    """Add a video uint8 [3 T H W] to the dashboard."""
    image = Summary.Image(
        height=video.shape[2], width=video.shape[3], colorspace=3, encoded_image_string=gif_bytes(video, fps)
    )
    writer = logger.experiment._get_file_writer()
    writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)
