"""Which clips of which videos an evaluation measures: a list of videos and first frames, before anything is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pvdm_lightning.data.clips.clip_dataset import DRAW
from pvdm_lightning.data.clips.sampler import ORDER
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.errors import InvalidArgumentError

ClipChoice = Literal["random", "first", "centre", "every_window", "non_overlapping", "class_balanced", "sorted_prefix"]
SEVERAL_A_VIDEO = ("every_window", "non_overlapping")
"""Choices that take as many clips of a video as it has windows."""
RANDOM_START = ("random", "sorted_prefix")
"""Choices that draw the first frame of a clip."""


@dataclass(frozen=True, eq=False)
class ClipList:
    """Clips in the order in which they are measured, the same on every process.

    Attributes:
        videos: int64 [K], the video of each clip.
        starts: int64 [K], the source frame at which it begins.
        usable: How many videos are long enough.
        short: How many videos can be read, but are too short.
        needed: Frames that a video needs.
        notes: What a reader must know of the list, such as clips that are in it twice.
    """

    videos: np.ndarray
    starts: np.ndarray
    usable: int
    short: int
    needed: int
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def num_videos(self) -> int:
        """How many videos they are of."""
        return len(np.unique(self.videos))

    @property
    def num_distinct(self) -> int:
        """How many of them differ."""
        return len(np.unique(np.stack([self.videos, self.starts]), axis=1).T)


def choose_clips(
    lengths: np.ndarray,
    labels: np.ndarray,
    name: Callable[[int], str],
    windows: Windows,
    *,
    choice: ClipChoice = "random",
    num: int | None = None,
    clips_per_video: int = 1,
    reuse: bool = False,
    min_frames: int = 1,
    seed: int = 0,
) -> ClipList:
    """Choose clips; a pure function of its arguments.

    Args:
        lengths: Frames in each video, int [N]; 0 for broken ones.
        labels: Class of each, int [N], -1 if unknown.
        name: Gives the name of a video.
        windows: Frames and stride of a clip.
        choice: random: a random clip of each video, videos in random order. first, centre: the clip at its start or in
            its middle instead. every_window: drawn from the windows at all first frames of all videos, without
            replacement. non_overlapping: drawn from the windows that follow one another, every `windows.step` source
            frames. class_balanced: the first clips of equally many videos of each class. sorted_prefix: a random clip
            of each of the first videos by name.
        num: How many clips at most; None for all.
        clips_per_video: How many clips of each video, where they are random; the videos follow one another once more
            for each.
        reuse: Whether to go through the clips again where there are fewer than `num`; random clips are then others of
            the same videos.
        min_frames: Shorter videos are left out, even if they hold a clip.
        seed: Seed of all draws.

    Raises:
        InvalidArgumentError: The choice is by class, and no video has one.
    """
    needed = max(windows.clip_span, min_frames)
    usable = np.flatnonzero(lengths >= needed)
    short = int(((lengths > 0) & (lengths < needed)).sum())
    notes: list[str] = []
    if choice == "class_balanced":
        usable = usable[labels[usable] >= 0]
        if len(usable) == 0:
            problem = "needs the classes of videos, and none is known of these"
            remedy = "Give a data set with classes, or another choice."
            raise InvalidArgumentError("RealClips.choice", choice, problem, remedy)
    if len(usable) == 0:
        return ClipList(usable, usable, 0, short, needed)
    passes = _passes(lengths, name, windows, usable, choice, num, seed)
    parts = [next(passes) for _ in range(clips_per_video)]
    most = _per_class(labels, usable, num, clips_per_video) if choice == "class_balanced" else None
    wanted = num if most is None else most * len(np.unique(labels[usable]))
    while reuse and wanted is not None and _count(parts, labels, most) < wanted:
        parts.append(next(passes))
    videos, starts = (np.concatenate(part) for part in zip(*parts))
    if most is not None:
        kept = _rank_in_class(labels[videos]) < most
        videos, starts = videos[kept], starts[kept]
        rare = sorted(label for label, count in Counter(labels[videos].tolist()).items() if count < most)
        if rare:
            notes.append(f"{len(rare)} of {len(np.unique(labels[usable]))} classes have fewer than {most} clips.")
    videos, starts = videos[:num], starts[:num]
    found = ClipList(videos, starts, len(usable), short, needed, notes)
    if repeated := len(found) - found.num_distinct:
        notes.append(f"{repeated:,} of {len(found):,} clips are in the list more than once.")
    return found


def _passes(
    lengths: np.ndarray,
    name: Callable[[int], str],
    windows: Windows,
    usable: np.ndarray,
    choice: ClipChoice,
    num: int | None,
    seed: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Videos and first frames of pass after pass through the clips; endless."""
    num_starts = np.array([windows.num_starts(int(length)) for length in lengths[usable]], dtype=np.int64)
    names = [name(int(video)) for video in usable] if choice == "sorted_prefix" else []
    by_name = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    number = 0
    while True:
        rng = np.random.default_rng((ORDER, seed, number))
        if choice in SEVERAL_A_VIDEO:
            hop = 1 if choice == "every_window" else windows.step
            ends = np.cumsum((num_starts - 1) // hop + 1)
            total = int(ends[-1])
            drawn = rng.choice(total, total if num is None else min(num, total), replace=False)
            places = np.searchsorted(ends, drawn, side="right")
            starts = (drawn - np.concatenate([[0], ends])[places]) * hop
        else:
            places = by_name if choice == "sorted_prefix" else rng.permutation(len(usable))
            places = places if num is None or choice == "class_balanced" else places[:num]
            if choice in RANDOM_START:
                draws = [np.random.default_rng((DRAW, seed, number, int(video), 0)) for video in usable[places]]
                starts = np.array([draw.integers(most) for draw, most in zip(draws, num_starts[places])], np.int64)
            else:
                starts = (num_starts[places] - 1) // 2 if choice == "centre" else np.zeros(len(places), dtype=np.int64)
        yield usable[places], starts
        number += 1


def _per_class(labels: np.ndarray, usable: np.ndarray, num: int | None, clips_per_video: int) -> int:
    """Clips of each class: `num` shared out and rounded up; without one, what the smallest class has."""
    sizes = np.unique(labels[usable], return_counts=True)[1]
    return int(sizes.min()) * clips_per_video if num is None else -(-num // len(sizes))


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """How many elements before each one have its label, int64 [K]."""
    order = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels)) - np.repeat(first, counts)
    return ranks


def _count(parts: Sequence[tuple[np.ndarray, np.ndarray]], labels: np.ndarray, most: int | None) -> int:
    """How many clips the passes give, at most so many of each class."""
    if most is None:
        return sum(len(videos) for videos, _ in parts)
    counts = Counter(int(label) for videos, _ in parts for label in labels[videos])
    return sum(min(count, most) for count in counts.values())
