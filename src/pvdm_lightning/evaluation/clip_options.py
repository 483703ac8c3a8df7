"""Which clips of which videos a distance compares, and how their frames are prepared: the parts of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers

ClipChoice = Literal["random", "first", "centre", "every_window", "non_overlapping", "class_balanced", "sorted_prefix"]


@dataclass
class RealClips:
    """Clips of real videos.

    Args:
        choice: random: one random clip of each video, videos in random order. first, centre: one clip of each, from its
            start or its middle. every_window: clips drawn from all windows of all videos, so that long videos weigh
            more. non_overlapping: drawn from the windows that follow one another without overlap. class_balanced: as
            many first clips of each class. sorted_prefix: a random clip of each of the first videos by name.
        num: How many clips. Default: 2,048, or fewer if there are no more; all, where that is usual.
        stride: Source frames from one frame of a clip to the next. Default: as the data module has it; 1 in folders.
        reuse: Whether further clips are drawn from the same videos where there are fewer than `num`.
        seed: Seed of the draw.
    """

    choice: ClipChoice = "random"
    num: int | None = None
    stride: int | None = None
    reuse: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers("RealClips", vars(self))
        _check_num("RealClips.num", self.num)
        check_at_least("RealClips.stride", self.stride, 1)
        check_at_least("RealClips.seed", self.seed, 0)


@dataclass
class GeneratedClips:
    """Clips of generated videos.

    Args:
        choice: first: the first frames of each video; random: a random clip of each.
        num: How many. Default: as many as there are in a folder; 2,048 where they are sampled.
        stride: Frames from one frame of a clip to the next.
        seed: Seed of the choice of videos, where a folder has more than `num`, and of random clips.
    """

    choice: Literal["first", "random"] = "first"
    num: int | None = None
    stride: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers("GeneratedClips", vars(self))
        _check_num("GeneratedClips.num", self.num)
        check_at_least("GeneratedClips.stride", self.stride, 1)
        check_at_least("GeneratedClips.seed", self.seed, 0)


@dataclass
class FramePreparation:
    """How decoded frames become the pixels that are measured, on both sides alike.

    Args:
        crop: centre: the largest centred box of the aspect; none: the whole picture, stretched.
        filter: Of the resize.
        antialias: Whether the filter is widened where pictures shrink.
        rounding: round or truncate to uint8, or none for unquantised frames.
        codec: A lossy round trip after it: none, jpeg75 (as two published protocols have by accident) or mp4.
    """

    crop: Literal["centre", "none"] = "centre"
    filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
    rounding: Literal["round", "truncate", "none"] = "round"
    codec: Literal["none", "jpeg75", "mp4"] = "none"


def _check_num(argument: str, num: int | None) -> None:
    if num is not None and num < 2:
        problem = "is too few: a covariance is not defined for a single video"
        raise InvalidArgumentError(argument, num, problem, "Give 2 or more; 2,048 is usual.")
