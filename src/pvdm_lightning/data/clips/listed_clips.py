"""Clips that are listed one by one, such as those that a metric is computed on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from pvdm_lightning.data.clips.clip_dataset import ClipDataset, Key, Sample


class ListedClips(Dataset[Sample]):
    """A list of clips; a sample also has ``number`` int64, its place in the list.

    Args:
        clips: Clips of the same videos.
        listed: (video in the source, start frame) of each.
    """

    def __init__(self, clips: ClipDataset, listed: Sequence[tuple[int, int]]) -> None:
        self.clips, self.listed, self.seed = clips, listed, clips.seed
        self.videos = np.array([index for index, _ in listed], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.listed)

    def name(self, position: int) -> str:
        """What messages call the video of a clip."""
        return self.clips.source.name(self.listed[position][0])

    def __getitem__(self, key: Key) -> Sample:
        """The clip with the number key[1].

        Raises:
            DecodeError: The video cannot be read.
        """
        number = key[1]
        return {**self.clips.sample(*self.listed[number]), "number": torch.tensor(number)}
