"""Videos of clips, reconstructions and samples in the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pvdm_lightning.callbacks.media import log_video
from pvdm_lightning.data.output.contact_sheet import LEAST_SIDE, caption_strip, enlarge
from pvdm_lightning.data.output.writing import check_fps
from pvdm_lightning.errors import check_at_least, check_numbers

GAP = 4


def draw_panel(rows: Mapping[str, Tensor], least_side: int = LEAST_SIDE) -> Tensor:
    """Rows of videos below their captions, as one video.

    Args:
        rows: Caption -> videos uint8 [N 3 T H W]; all rows have the same T.
        least_side: Videos are enlarged by a whole number until they are so high, in pixels.

    Returns:
        uint8 [3 T H' W'], on the CPU.
    """
    strips = []
    for caption, videos in rows.items():
        large = torch.nn.functional.pad(enlarge(videos.cpu(), least_side), (0, GAP, 0, GAP), value=255)
        strips.append((caption, torch.cat(list(large), dim=3)))  # [3 T H N*W]
    width = max(strip.shape[3] for _, strip in strips)
    parts = []
    for caption, strip in strips:
        wide = torch.nn.functional.pad(strip, (0, width - strip.shape[3]), value=255)
        title = caption_strip(caption, width)[:, None].expand(-1, wide.shape[1], -1, -1)
        parts += [title, wide]
    return torch.cat(parts, dim=2)


class VideoLogger(Callback):
    """Logs, after each validation, enlarged and captioned panels of training clips, held-out clips and samples.

    Videos of a panel play in step, as GIFs in the IMAGES tab of TensorBoard. Seeds are fixed, so that a panel shows
    over the steps how the same video changes.

    Args:
        num_videos: How many videos, side by side; 0 logs none.
        fps: Frames per second.
    """

    def __init__(self, num_videos: int = 4, fps: float = 8) -> None:
        check_numbers("VideoLogger", locals())
        check_at_least("VideoLogger.num_videos", num_videos, 0)
        check_fps("VideoLogger.fps", fps)
        self.num_videos, self.fps = num_videos, fps
        self._training: dict[str, Tensor] | None = None
        self._held_out: dict[str, Tensor] | None = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        if trainer.is_global_zero and self.num_videos > 0:
            self._training = batch

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
            self._held_out = batch

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        held_out, self._held_out = self._held_out, None
        training, self._training = self._training, None
        if not trainer.loggers:
            return
        for prefix, batch in (("train", training), ("val", held_out)):
            if batch is None:
                continue
            # In the precision of the run, as validation_step itself.
            with torch.no_grad(), trainer.precision_plugin.val_step_context():
                draw = pl_module.clips_for_logging if prefix == "train" else pl_module.sample_for_logging
                panels: dict[str, dict[str, Tensor]] = draw(batch, self.num_videos)  # type: ignore[operator]
            for name, rows in panels.items():
                tag, caption = f"{prefix}/{name}", ", ".join(rows)
                log_video(trainer.loggers, tag, draw_panel(rows), trainer.global_step, self.fps, caption)
