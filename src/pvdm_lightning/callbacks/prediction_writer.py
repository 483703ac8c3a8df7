"""Writes the videos of `pvdm predict` as they are made, then a page and a contact sheet of all."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write, check_replaceable
from pvdm_lightning.callbacks.index_page import index_page
from pvdm_lightning.data.output.contact_sheet import CONTACT_SHEET, caption_strip, contact_sheet, enlarge, frame_times
from pvdm_lightning.data.output.writing import WRITERS, check_fps, video_writer
from pvdm_lightning.data.videos.npz import write_npz
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.training import LatentDiffusionModule
from pvdm_lightning.training.locked_output import LockedOutput

logger = logging.getLogger(__name__)
FORMATS = (*WRITERS, "npz")
PAGE, SHEET, NPZ = "index.html", CONTACT_SHEET, "videos.npz"
_VIDEO = re.compile(r"video_\d{5,}(\.\w+)?")
_PARTS, _PART = ".pvdm.parts", re.compile(r"\d+|(row|video)_\d+\.npy")
IN_SHEET = 32
"""Videos in the contact sheet, from the first on."""
AddFrames = Callable[[Tensor], None]
"""Adds frames uint8 [3 t H W] to a file."""


class PredictionWriter(LockedOutput, BasePredictionWriter):
    """Writes each predicted video under its index, which does not depend on processes or batches.

    Args:
        dir: Folder for the videos; made if it is not there.
        formats: Any of mp4, gif, png (a folder of frames), npy (uint8 [T H W 3]) and npz (all videos in one file,
            uint8 [N T H W 3], for metric tools).
        fps: Frames per second, 0.01 to 1000; programs play a GIF at no more than 50.
        least_side: Enlarge videos by a whole number, pixel by pixel, until their frames are so high. Not npz.
        contact_sheets: Whether to write also a picture of the first 32 videos, contact_sheet.png: a row of 8 frames for
            each, enlarged, by class if there are classes.
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
        if isinstance(pl_module, LatentDiffusionModule):
            pl_module.write_videos = self.write_videos
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
        if "video" in prediction:  # else they were written while they were drawn
            videos = prediction["video"]
            self.write_videos(prediction["index"].tolist(), videos.shape[2], [videos])

    def write_videos(
        self,
        indices: Sequence[int],
        num_frames: int,
        pieces: Iterable[Tensor],
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Write a batch of videos as their frames come; of these, no more than one piece and a few frames are held.

        Args:
            indices: Numbers of the videos.
            num_frames: Frames of each.
            pieces: Their frames, one stretch of time after another, uint8 [B 3 t H W].
            class_names: The class of each; empty for a video without one.
        """
        classes = class_names or [""] * len(indices)
        rows: list[list[Tensor]] = [[] for _ in indices]
        times = frame_times(num_frames)
        with contextlib.ExitStack() as files:
            opened: list[tuple[list[AddFrames], AddFrames | None]] = []
            start = 0
            for piece in pieces:
                if not opened:  # not before there is something to write
                    self._parts.mkdir(parents=True, exist_ok=True)
                    opened = [self._open(index, num_frames, name, files) for index, name in zip(indices, classes)]
                shown = [time - start for time in times if start <= time < start + piece.shape[2]]
                start += piece.shape[2]
                for video, (add_large, add), row in zip(piece, opened, rows, strict=True):
                    large = enlarge(video, self.least_side)
                    for add_frames in add_large:
                        add_frames(large)
                    if add is not None:
                        add(video)
                    row.append(video[:, shown])
        for index, name, row in zip(indices, classes, rows):
            self._keep_part(index, name, torch.cat(row, dim=1))

    def _open(
        self, index: int, num_frames: int, class_name: str, files: contextlib.ExitStack
    ) -> tuple[list[AddFrames], AddFrames | None]:
        """What adds frames to the files of a video: to those of enlarged frames, and to what is kept for the npz."""
        metadata = {**self.about, "video": index, **({"class": class_name} if class_name else {})}
        add_large = []
        for name in (name for name in self.formats if name != "npz"):
            path = self.dir / f"video_{index:05d}{WRITERS[name][0]}"
            about = metadata if self.metadata else None
            writer = video_writer(path, num_frames, self.fps, about, replace_frames=self.overwrite)
            add_large.append(files.enter_context(writer))
        if "npz" not in self.formats:
            return add_large, None
        return add_large, files.enter_context(video_writer(self._parts / f"video_{index}.npy", num_frames))

    def _keep_part(self, index: int, class_name: str, frames: Tensor) -> None:
        """Keep what the first process joins at the end.

        Args:
            index: Number of the video.
            class_name: Its class; empty if it has none.
            frames: Those that the contact sheet shows, uint8 [3 t H W].
        """
        (self._parts / str(index)).write_text(class_name, encoding="utf-8", errors="surrogatepass")
        if self.contact_sheets and index < IN_SHEET:
            with atomic_write(self._parts / f"row_{index}.npy") as partial, partial.open("wb") as file:
                np.save(file, np.array(contact_sheet(frames[None])))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(pl_module, LatentDiffusionModule):
            pl_module.write_videos = None
        # Here and not at the end of prediction, which a process without a video never reaches.
        trainer.strategy.barrier("all videos are written")
        if trainer.is_global_zero:
            self._finish()
        super().teardown(trainer, pl_module, stage)

    def _finish(self) -> None:
        """Join what all processes have left."""
        indices = sorted(int(path.name) for path in self._parts.glob("*") if path.name.isdigit())
        classes = {index: (self._parts / str(index)).read_text("utf-8", "surrogatepass") for index in indices}
        places = {name: place for place, name in enumerate(dict.fromkeys(classes.values()))}
        by_class = sorted(indices, key=lambda index: (places[classes[index]], index))
        if strips := list(self._strips(by_class, classes)):
            with atomic_write(self.dir / SHEET) as partial:
                Image.fromarray(np.concatenate(strips)).save(partial, "PNG")
        if "npz" in self.formats and indices:
            parts = [self._parts / f"video_{index}.npy" for index in indices]
            write_npz(parts, indices, self.dir / NPZ, self.about if self.metadata else None)
        if self.page:
            facts = {**_flat(self.about), "made": time.strftime("%Y-%m-%d %H:%M")}
            title = f"{len(indices)} videos of {self.about.get('checkpoint', {}).get('name', 'a model')}"
            page = index_page(title, self.dir, {index: classes[index] for index in by_class}, self.formats, facts)
            with atomic_write(self.dir / PAGE) as partial:
                partial.write_text(page, encoding="utf-8")
        self._clear_parts()

    def _strips(self, indices: Sequence[int], classes: Mapping[int, str]) -> Iterator[np.ndarray]:
        """The contact sheet from top to bottom: rows of videos, each class below its name."""
        before = ""
        for index in indices:
            if (path := self._parts / f"row_{index}.npy").exists():
                row = np.load(path)
                if classes[index] != before:
                    before = classes[index]
                    yield caption_strip(before, row.shape[1]).permute(1, 2, 0).numpy()
                yield row


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in record.items():
        rows |= _flat(value, f"{prefix}{key} ") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows
