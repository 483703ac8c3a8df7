"""Videos and pictures in the dashboard."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pvdm_lightning.callbacks.media import log_video
from pvdm_lightning.callbacks.panel import draw_panel
from pvdm_lightning.data.videos.writing import check_fps
from pvdm_lightning.errors import check_at_least, check_numbers


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
