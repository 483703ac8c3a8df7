"""Generated videos on disk, from which an interrupted evaluation continues."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write, clear_partial_files
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.protocol import protocol_hash
from pvdm_lightning.evaluation.report import write_json

_NAME = re.compile(r"video_(\d+)\.npy")


class GeneratedVideos:
    """Videos by their numbers, losslessly, each in a file of its own: uint8 [T H W 3], as `pvdm predict` writes npy.

    Args:
        folder: Folder of all evaluations; these videos get a folder inside, by the hash of `protocol`.
        protocol: All that shapes a video but its number: other models or samplers never share files.
    """

    def __init__(self, folder: Path, protocol: Mapping[str, Any]) -> None:
        self.protocol = protocol
        self.folder = folder / "generated" / protocol_hash(protocol)

    def missing(self, count: int) -> list[int]:
        """Which of the videos 0..count-1 are not there yet."""
        names = (path.name for path in self.folder.iterdir()) if self.folder.is_dir() else ()
        there = {int(match[1]) for match in map(_NAME.fullmatch, names) if match}
        return [number for number in range(count) if number not in there]

    def prepare(self, num_missing: int, shape: tuple[int, int, int]) -> None:
        """Make the folder, before any video is generated.

        Args:
            num_missing: How many videos will be written.
            shape: (frames, height, width) of one.

        Raises:
            InvalidArgumentError: The folder cannot be made, or the disk has no room for the videos.
        """
        argument, frames, height, width = "Evaluation.dir", *shape
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            clear_partial_files(self.folder)  # no other command is here: see `OutputLock`
            write_json(self.protocol, self.folder / "protocol.json")
        except OSError as error:
            raise InvalidArgumentError(
                argument, self.folder, f"cannot be written ({error.strerror})", "Name another."
            ) from None
        needed, free = num_missing * frames * height * width * 3, shutil.disk_usage(self.folder).free
        if needed > free:
            problem = (
                f"{num_missing:,} videos of {frames} x {height} x {width} need {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free"
            )
            raise InvalidArgumentError(
                argument, self.folder, problem, "Name a folder on a larger disk, or ask for fewer videos."
            )

    def write(self, number: int, video: Tensor) -> None:
        """Write a video uint8 [3 T H W] atomically."""
        with atomic_write(self._path(number)) as partial, partial.open("wb") as file:
            np.save(file, video.permute(1, 2, 3, 0).contiguous().cpu().numpy())

    def source(self, count: int) -> ArrayVideos:
        """The videos 0..count-1, which were all written.

        Raises:
            InvalidArgumentError: A file was damaged since.
        """
        videos = ArrayVideos(self.folder, [self._path(number).name for number in range(count)])
        for number, problem in videos.problems.items():
            raise InvalidArgumentError(
                "Evaluation.dir",
                self._path(number),
                f"cannot be read ({problem})",
                "Remove the file and start again.",
            )
        return videos

    def _path(self, number: int) -> Path:
        return self.folder / f"video_{number:05d}.npy"
