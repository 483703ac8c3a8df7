"""Videos that lie on disk as numpy arrays, uint8 [T H W 3] in .npy files, as `pvdm predict` writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.index.video_info import DecodeError, check_pixels, one_line, stamp_of
from pvdm_lightning.data.videos.npz import map_npy


class ArrayVideos:
    """A source of videos in .npy files; a file that is something else is a broken video.

    Args:
        root: Folder that the names are relative to.
        names: Relative paths.

    Attributes:
        sizes: (height, width) of each video; (0, 0) of a broken one.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root, self.names = root, names
        self.lengths = np.zeros(len(names), dtype=np.int64)
        self.labels = np.full(len(names), -1)
        self.problems: dict[int, str] = {}
        self.sizes: list[tuple[int, int]] = []
        for index in range(len(names)):
            try:
                video = self._open(index)
                self.lengths[index] = len(video)
                self.sizes.append((video.shape[1], video.shape[2]))
            except DecodeError as error:
                self.problems[index] = str(error)
                self.sizes.append((0, 0))

    def name(self, index: int) -> str:
        return str(self.root / self.names[index])

    def stamps(self) -> bytes:
        return np.array([stamp_of(self.root / name) for name in self.names], dtype=np.int64).tobytes()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        video = self._open(index)
        return torch.stack([crop_and_resize(np.array(video[frame]), resolution) for frame in frames], dim=1)

    def _open(self, index: int) -> np.ndarray:
        return open_array(self.root / self.names[index])


def open_array(path: Path) -> np.ndarray:
    """A video in a .npy file, uint8 [T H W 3], memory-mapped.

    Raises:
        DecodeError: It is none.
    """
    try:
        video = map_npy(path)
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
            raise ValueError(f"is {video.dtype} {list(video.shape)}, not uint8 [T H W 3]")
        check_pixels(video.shape[1], video.shape[2])
    except (OSError, ValueError) as error:
        raise DecodeError(one_line(error)) from error
    return video
