"""A data set of your own: one file and one preset. Here: an array of gray videos, uint8 [T N H W] in one .npy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pvdm_lightning.data import ClipDataModule, VideoSource
from pvdm_lightning.data.clips.transforms import crop_and_resize


class GrayArray:
    """Videos `first` to `last` of the array: a `VideoSource`."""

    def __init__(self, path: str, first: int, last: int) -> None:
        self.path, self.videos = path, np.load(path, mmap_mode="r")[:, first:last]
        frames, count = self.videos.shape[:2]
        self.lengths, self.labels = np.full(count, frames), np.full(count, -1)
        self.problems: dict[int, str] = {}

    def name(self, index: int) -> str:
        return f"{self.path}[{index}]"

    def stamps(self) -> bytes:
        return str(self.videos.shape).encode()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        gray = self.videos[list(frames), index]
        return torch.stack([crop_and_resize(np.stack([frame] * 3, axis=2), resolution) for frame in gray], dim=1)


class GrayVideos(ClipDataModule):
    """Gray videos in an array; the last tenth is for validation.

    Args:
        root: The .npy file.
        **kwargs: As in ClipDataModule.
    """

    def __init__(self, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        count = np.load(self.root, mmap_mode="r").shape[1]
        middle = count - max(1, count // 10)
        return GrayArray(self.root, 0, middle), GrayArray(self.root, middle, count)


if __name__ == "__main__":
    np.save("gray.npy", np.random.default_rng(0).integers(0, 256, (20, 10, 24, 24), dtype=np.uint8))
    data = GrayVideos("gray.npy", frames=4, resolution=16, clips_per_sample=2, batch_size=3, num_workers=0)
    data.setup("fit")
    print(next(iter(data.train_dataloader()))["clip"].shape)
