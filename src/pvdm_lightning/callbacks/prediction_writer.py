"""Writes the videos of `pvdm predict` as they are made."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.videos.contact_sheet import contact_sheet, enlarge
from pvdm_lightning.data.videos.writing import WRITERS, write_video
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.training.locked_output import LockedOutput

logger = logging.getLogger(__name__)


class PredictionWriter(LockedOutput, BasePredictionWriter):
    """Writes each predicted video under its index, which does not depend on processes or batches.

    Args:
        dir: Folder for the videos; made if it is not there.
        formats: Any of mp4, gif, png (a folder of frames) and npy (uint8 [T H W 3]).
        fps: Frames per second.
        least_side: Enlarge videos by a whole number, pixel by pixel, until their frames are so high.
        contact_sheets: Whether to write also a picture of each batch, sheet_<first index>.png: a row of 8 frames for
            each video.
        overwrite: Whether to replace videos in a folder that already holds some.
    """

    def __init__(
        self,
        dir: str = "samples",
        formats: Sequence[Literal["mp4", "gif", "png", "npy"]] = ("mp4",),
        fps: float = 25,
        least_side: int = 1,
        contact_sheets: bool = False,
        overwrite: bool = False,
    ) -> None:
        super().__init__(write_interval="batch")
        if fps <= 0:
            raise InvalidArgumentError(
                "PredictionWriter.fps", fps, "is not positive", "Give frames per second, such as 25."
            )
        if not formats or any(name not in WRITERS for name in formats):
            raise InvalidArgumentError(
                "PredictionWriter.formats", list(formats), "is not a list of formats", f"Give some of {[*WRITERS]}."
            )
        check_at_least("PredictionWriter.least_side", least_side, 1)
        self.dir, self.formats, self.fps, self.overwrite = Path(dir), tuple(formats), fps, overwrite
        self.least_side, self.contact_sheets = least_side, contact_sheets

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Only the first process looks and makes the folder: another may already have written into it.
        if not trainer.is_global_zero:
            return
        if self.dir.exists() and not self.dir.is_dir():
            raise InvalidArgumentError("PredictionWriter.dir", self.dir, "is a file", "Name a folder.")
        self.lock_output(trainer, self.dir, "PredictionWriter.dir")
        if not self.overwrite and any(self.dir.glob("video_*")):
            raise InvalidArgumentError(
                "PredictionWriter.dir",
                self.dir,
                "already holds videos",
                "Name another folder, or allow replacing them with PredictionWriter.overwrite true.",
            )

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        videos, indices = prediction["video"], prediction["index"].tolist()
        if self.contact_sheets:
            with atomic_write(self.dir / f"sheet_{indices[0]:05d}.png") as partial:
                contact_sheet(videos).save(partial, "PNG")
        for video, index in zip(enlarge(videos, self.least_side), indices, strict=True):
            for file_format in self.formats:
                write_video(video, self.dir / f"video_{index:05d}{WRITERS[file_format][0]}", self.fps)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            logger.info("videos (%s) are in %s", ", ".join(self.formats), self.dir)
