"""Clips of videos: which frames are drawn, and what a sample is made of."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.source import VideoSource, condition_of, conditions_of
from pvdm_lightning.errors import InvalidArgumentError

Sample = dict[str, Tensor]
Key = tuple[int, int, int]  # epoch, position, attempt

OWN = ("clip", "previous", "has_previous", "label", "index", "known")
"""What samples hold beside further parts of a condition."""
DRAW = 1  # sets the draws of samples apart from those of the epoch's order


def spread_over(number: int, at_most: int | None) -> np.ndarray:
    """At most `at_most` positions below `number`, evenly spread; None for all."""
    if at_most is None or at_most >= number:
        return np.arange(number)
    return np.linspace(0, number - 1, at_most).round().astype(np.int64)


class ClipDataset(Dataset[Sample]):
    """Clips of the videos that are long enough, one sample per video.

    Every draw of a sample comes from a generator seeded by (seed, epoch, index of the video, attempt): it does not
    depend on how many workers or processes there are, nor on what was drawn before.

    A sample holds ``clip`` uint8 [3, S, H, W], ``label`` int64 (-1 unknown) and ``index`` int64 (of the video in the
    source). Pairs hold also ``previous`` uint8 [3, S, H, W], the clip one hop before ``clip``, and ``has_previous``
    bool: a video long enough for a clip, but not for a pair, gives its single clip, and zeros for `previous`. Parts of
    a condition that the source gives are in it by their names; they are those of ``clip``.

    Args:
        source: The videos.
        windows: Which frames make a sample.
        resolution: (height, width) of the pictures.
        random_start: Whether the first frame is drawn; otherwise the window is centred.
        horizontal_flip: Whether every other sample, at random, is mirrored.
        seed: Seed of the draws.
        max_samples: Only so many videos, evenly spread over the source; None for all.
    """

    def __init__(
        self,
        source: VideoSource,
        windows: Windows,
        resolution: tuple[int, int],
        *,
        random_start: bool = False,
        horizontal_flip: bool = False,
        seed: int = 0,
        max_samples: int | None = None,
    ) -> None:
        self.source, self.windows, self.resolution = source, windows, resolution
        self.random_start, self.horizontal_flip, self.seed = random_start, horizontal_flip, seed
        for name in conditions_of(source):
            if name in OWN:
                problem = "names a part of the condition as another part of a batch is named"
                raise InvalidArgumentError("VideoSource.conditions", name, problem, "Give it another name.")
        self.videos = np.flatnonzero(source.lengths >= windows.clip_span)
        self.videos = self.videos[spread_over(len(self.videos), max_samples)]

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, position: int) -> str:
        """What messages call the video of a sample."""
        return self.source.name(int(self.videos[position]))

    def __getitem__(self, key: int | Key) -> Sample:
        """The sample of a video.

        Args:
            key: Position among the usable videos, or (epoch, position, attempt).

        Raises:
            DecodeError: If the video cannot be read.
        """
        epoch, position, attempt = key if isinstance(key, tuple) else (0, key, 0)
        index = int(self.videos[position])
        length = int(self.source.lengths[index])
        rng = np.random.default_rng((DRAW, self.seed, epoch, index, attempt))
        num_starts = self.windows.num_starts(length)
        start = int(rng.integers(num_starts)) if self.random_start else (num_starts - 1) // 2
        flip = self.horizontal_flip and bool(rng.integers(2))
        return self.sample(index, start, flip)

    def sample(self, index: int, start: int, flip: bool = False) -> Sample:
        """The sample at a given start frame.

        Args:
            index: Number of the video in the source.
            start: Source frame at which its first window begins.
            flip: Whether it is mirrored.

        Raises:
            DecodeError: If the video cannot be read.
        """
        pair = self.windows.is_pair(int(self.source.lengths[index]))
        sample = self._read(index, start, pair)
        if flip:
            sample = {name: pixels.flip(-1) for name, pixels in sample.items()}
        if self.windows.clips == 2:
            sample["has_previous"] = torch.tensor("previous" in sample)
            sample.setdefault("previous", torch.zeros_like(sample["clip"]))
        sample["label"] = torch.tensor(int(self.source.labels[index]))
        sample["index"] = torch.tensor(index)
        frames = self.windows.clip_frames(start + self.windows.step if pair else start)
        return {**sample, **condition_of(self.source, index, frames, flip)}

    def _read(self, index: int, start: int, pair: bool) -> Sample:
        first = self.windows.clip_frames(start)
        if not pair:
            return {"clip": self.source.read(index, first, self.resolution)}
        second = self.windows.clip_frames(start + self.windows.step)
        frames = sorted({*first, *second})  # windows may overlap: no frame is decoded twice
        pictures = self.source.read(index, frames, self.resolution)
        place = {frame: position for position, frame in enumerate(frames)}
        return {
            "previous": pictures[:, [place[frame] for frame in first]],
            "clip": pictures[:, [place[frame] for frame in second]],
        }
