"""Writes the videos of `pvdm predict` as they are made, then a page and a contact sheet of all."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write, check_replaceable
from pvdm_lightning.callbacks.index_page import index_page
from pvdm_lightning.data.output.contact_sheet import CONTACT_SHEET, contact_sheet, enlarge
from pvdm_lightning.data.output.writing import WRITERS, check_fps, write_video
from pvdm_lightning.data.videos.npz import write_npz
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.training.locked_output import LockedOutput

logger = logging.getLogger(__name__)
FORMATS = (*WRITERS, "npz")
PAGE, SHEET, NPZ = "index.html", CONTACT_SHEET, "videos.npz"
_VIDEO = re.compile(r"video_\d{5,}(\.\w+)?")
_PARTS, _PART = ".pvdm.parts", re.compile(r"\d+|(row|video)_\d+\.npy")
IN_SHEET = 32
"""Videos in the contact sheet, from the first on."""


class PredictionWriter(LockedOutput, BasePredictionWriter):
    """Writes each predicted video under its index, which does not depend on processes or batches.

    Args:
        dir: Folder for the videos; made if it is not there.
        formats: Any of mp4, gif, png (a folder of frames), npy (uint8 [T H W 3]) and npz (all videos in one file,
            uint8 [N T H W 3], for metric tools).
        fps: Frames per second, 0.01 to 1000; programs play a GIF at no more than 50.
        least_side: Enlarge videos by a whole number, pixel by pixel, until their frames are so high. Not npz.
        contact_sheets: Whether to write also a picture of the first 32 videos, contact_sheet.png: a row of 8 frames for
            each, enlarged.
        page: Whether to write a page that plays the videos, index.html.
        metadata: Whether files say inside how they were made: options, seed, checkpoint.
        overwrite: Whether to replace videos in a folder that already holds some.
    """

    def __init__(
        self,
        dir: str = "samples",
        formats: Sequence[Literal["mp4", "gif", "png", "npy", "npz"]] = ("mp4",),
        fps: float = 25,
        least_side: int = 1,
        contact_sheets: bool = True,
        page: bool = True,
        metadata: bool = True,
        overwrite: bool = False,
    ) -> None:
        check_numbers("PredictionWriter", locals())
        super().__init__(write_interval="batch")
        check_fps("PredictionWriter.fps", fps)
        if not formats or any(name not in FORMATS for name in formats):
            raise InvalidArgumentError(
                "PredictionWriter.formats", list(formats), "is not a list of formats", f"Give some of {[*FORMATS]}."
            )
        check_at_least("PredictionWriter.least_side", least_side, 1)
        self.dir, self.formats, self.fps, self.overwrite = Path(dir), tuple(formats), fps, overwrite
        self.least_side, self.contact_sheets, self.page, self.metadata = least_side, contact_sheets, page, metadata
        self.about: Mapping[str, Any] = {}
        self._parts = self.dir / _PARTS

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Only the first process looks and makes the folder: another may already have written into it.
        if not trainer.is_global_zero:
            return
        if self.dir.exists() and not self.dir.is_dir():
            raise InvalidArgumentError("PredictionWriter.dir", self.dir, "is a file", "Name a folder.")
        self.lock_output(trainer, self.dir, "PredictionWriter.dir")
        held = [*self.dir.glob("video_*"), *(path for name in (PAGE, SHEET, NPZ) if (path := self.dir / name).exists())]
        if held and not self.overwrite:
            raise InvalidArgumentError(
                "PredictionWriter.dir",
                self.dir,
                "already holds videos" if held[0].name.startswith("video_") else f"already holds {held[0].name}",
                "Name another folder, or allow replacing them with PredictionWriter.overwrite true.",
            )
        for path in held:
            if not _VIDEO.fullmatch(path.name) and path.name not in (PAGE, SHEET, NPZ):
                continue  # of another name than is written here
            try:
                check_replaceable(path, replace_frames=True)
            except OSError as error:
                raise InvalidArgumentError(
                    "PredictionWriter.dir", path, f"cannot be replaced: {error.strerror}", "Name another folder."
                ) from None
        if not self._clear_parts():
            problem = f"its {_PARTS} was not made by this program"
            raise InvalidArgumentError("PredictionWriter.dir", self.dir, problem, "Name another folder.")

    def _clear_parts(self) -> bool:
        """Delete what a run keeps until its end; returns whether nothing else was there."""
        if not self._parts.is_symlink() and self._parts.is_dir():
            for path in list(self._parts.iterdir()):
                if _PART.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
                    path.unlink()
            with contextlib.suppress(OSError):
                self._parts.rmdir()
        return not self._parts.is_symlink() and not self._parts.exists()

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
        self._parts.mkdir(parents=True, exist_ok=True)
        for video, index in zip(prediction["video"], prediction["index"].tolist(), strict=True):
            metadata = {**self.about, "video": index} if self.metadata else None
            large = enlarge(video, self.least_side)
            for name in self.formats:
                if name != "npz":
                    path = self.dir / f"video_{index:05d}{WRITERS[name][0]}"
                    write_video(large, path, self.fps, metadata, replace_frames=self.overwrite)
            self._keep_part(video, index)

    def _keep_part(self, video: Tensor, index: int) -> None:
        """Keep what the first process joins at the end."""
        (self._parts / str(index)).touch()
        if self.contact_sheets and index < IN_SHEET:
            with atomic_write(self._parts / f"row_{index}.npy") as partial, partial.open("wb") as file:
                np.save(file, np.array(contact_sheet(video[None])))
        if "npz" in self.formats:
            write_video(video, self._parts / f"video_{index}.npy", self.fps)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Here and not at the end of prediction, which a process without a video never reaches.
        trainer.strategy.barrier("all videos are written")
        if trainer.is_global_zero:
            self._finish()
        super().teardown(trainer, pl_module, stage)

    def _finish(self) -> None:
        """Join what all processes have left."""
        indices = sorted(int(path.name) for path in self._parts.glob("*") if path.name.isdigit())
        rows = [path for path in (self._parts / f"row_{index}.npy" for index in indices) if path.exists()]
        if rows:
            with atomic_write(self.dir / SHEET) as partial:
                Image.fromarray(np.concatenate([np.load(row) for row in rows])).save(partial, "PNG")
        if "npz" in self.formats and indices:
            parts = [self._parts / f"video_{index}.npy" for index in indices]
            write_npz(parts, indices, self.dir / NPZ, self.about if self.metadata else None)
        if self.page:
            facts = {**_flat(self.about), "made": time.strftime("%Y-%m-%d %H:%M")}
            title = f"{len(indices)} videos of {self.about.get('checkpoint', {}).get('name', 'a model')}"
            with atomic_write(self.dir / PAGE) as partial:
                partial.write_text(index_page(title, self.dir, indices, self.formats, facts), encoding="utf-8")
        self._clear_parts()


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in record.items():
        rows |= _flat(value, f"{prefix}{key} ") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows
