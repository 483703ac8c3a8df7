"""Which windows of a set of videos a cache of latents stores."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from pvdm_lightning.data.clips.clip_dataset import ClipDataset, Key, Sample


def spread_starts(num_starts: int, count: int) -> np.ndarray:
    """The first frames of `count` windows, each at the middle of its share of the possible ones.

    A single one is the centred window of validation.

    Args:
        num_starts: How many there are to choose from.
        count: How many are wanted; all if there are fewer.
    """
    count = min(count, num_starts)
    return ((2 * np.arange(count) + 1) * num_starts - 1) // (2 * max(count, 1))


class StoredWindows:
    """Windows of videos, in the order of the videos.

    A sample is one of `ClipDataset`, unmirrored, with ``start`` int64 beside it, and ``has_previous`` even where only
    single clips are wanted.

    Args:
        dataset: The videos.
        windows_per_video: How many windows of each.
    """

    def __init__(self, dataset: ClipDataset, windows_per_video: int) -> None:
        self.dataset, self.seed = dataset, dataset.seed
        lengths = dataset.source.lengths[dataset.videos]
        starts = [spread_starts(dataset.windows.num_starts(int(length)), windows_per_video) for length in lengths]
        self.videos = np.repeat(dataset.videos, [len(some) for some in starts])
        self.starts = np.concatenate(starts) if starts else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, position: int) -> str:
        """What messages call the video of a window."""
        return self.dataset.source.name(int(self.videos[position]))

    def __getitem__(self, key: Key) -> Sample:
        """The window at a position; nothing is drawn, so epoch and attempt have no effect."""
        _, position, _ = key
        start = int(self.starts[position])
        sample = self.dataset.sample(int(self.videos[position]), start)
        sample.setdefault("previous", torch.zeros_like(sample["clip"]))
        sample.setdefault("has_previous", torch.tensor(False))
        return {**sample, "start": torch.tensor(start)}

    def files(self) -> list[str]:
        """Paths of the files of the videos, each once; none of a source whose videos are no files."""
        source = self.dataset.source
        file = getattr(source, "file", source.name)  # which several videos may share
        names = [*dict.fromkeys(file(int(video)) for video in np.unique(self.videos))]
        return names if any(Path(name).exists() for name in names[:1000]) else []

    def digest(self) -> str:
        """A hash over the videos' lengths and labels and the windows: another one means that the videos changed."""
        source = self.dataset.source
        arrays = (self.videos, self.starts, source.lengths, source.labels)
        return hashlib.sha256(b"".join(np.asarray(array, dtype="<i8").tobytes() for array in arrays)).hexdigest()
