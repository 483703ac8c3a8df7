"""Which clips of which videos a distance compares: the parts of a protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pvdm_lightning.data.clips.clip_choice import SEVERAL_A_VIDEO, ClipChoice, ClipList, choose_clips
from pvdm_lightning.data.clips.codecs import Codec
from pvdm_lightning.data.clips.transforms import FramePreparation
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.source import VideoSource
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers

__all__ = ["USUAL_COUNT", "FramePreparation", "GeneratedClips", "RealClips"]

USUAL_COUNT = 2048
"""Clips a side in the protocol of StyleGAN-V, which FVD metrics of the literature follow."""


Side = Literal["real", "generated"]


@dataclass(frozen=True)
class RealClips:
    """Clips of real videos.

    Args:
        choice: random: one random clip of each video, videos in random order. first, centre: one clip of each, from its
            start or its middle. every_window: clips drawn from all windows of all videos, so that long videos weigh
            more. non_overlapping: drawn from the windows that follow one another without overlap. class_balanced: as
            many first clips of each class, or of each folder where no class is known. sorted_prefix: a random clip of
            each of the first videos by name. Default: random; centre for reconstructions.
        num: How many clips, or all. Default: 2,048, or as many as there are if those are fewer; all for
            reconstructions.
        stride: Source frames from one frame of a clip to the next. Default: as the data module has it; 1 in folders.
        clips_per_video: How many clips of each video, where they are random.
        reuse: Whether the videos are gone through again where they have fewer than `num` clips: random clips are then
            others of the same videos, first and centred ones the same again.
        min_frames: Shorter videos are left out, even if they hold a clip.
        seed: Seed of the draw.
    """

    choice: ClipChoice | None = None
    num: int | Literal["all"] | None = None
    stride: int | None = None
    clips_per_video: int = 1
    reuse: bool = False
    min_frames: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers("RealClips", vars(self))
        _check_num("RealClips.num", self.num)
        for argument, least in (("stride", 1), ("clips_per_video", 1), ("min_frames", 1), ("seed", 0)):
            check_at_least(f"RealClips.{argument}", getattr(self, argument), least)
        if self.clips_per_video > 1 and self.choice not in (None, "random", "sorted_prefix"):
            several = self.choice in SEVERAL_A_VIDEO
            why = "which takes several clips of a video by itself" if several else "which gives the same clip each time"
            problem = f"is not possible with RealClips.choice {self.choice}, {why}"
            raise InvalidArgumentError(
                "RealClips.clips_per_video", self.clips_per_video, problem, "Leave it out, or choose random clips."
            )
        if self.reuse and not isinstance(self.num, int):
            problem = "needs to know how many clips are wanted"
            raise InvalidArgumentError("RealClips.reuse", self.reuse, problem, "Give RealClips.num, such as 2048.")

    def choose(self, source: VideoSource, windows: Windows, reconstructions: bool = False) -> ClipList:
        """The clips of some videos.

        Args:
            source: The videos.
            windows: Frames and stride of a clip.
            reconstructions: Whether the defaults are those for reconstructions.

        Raises:
            InvalidArgumentError: The choice needs classes, which the videos do not have.
        """
        usual = None if reconstructions else USUAL_COUNT
        return choose_clips(
            source.lengths,
            _labels(source) if self.choice == "class_balanced" else source.labels,
            source.name,
            windows,
            choice=self.choice or ("centre" if reconstructions else "random"),
            num=usual if self.num is None else None if self.num == "all" else self.num,
            clips_per_video=self.clips_per_video,
            reuse=self.reuse,
            min_frames=self.min_frames or 1,
            seed=self.seed,
        )

    def asked(self, reconstructions: bool = False) -> int | str:
        """What `num` means."""
        return self.num or ("all" if reconstructions else f"{USUAL_COUNT} or all")


@dataclass(frozen=True)
class GeneratedClips:
    """Clips of generated videos, one of each.

    Args:
        choice: first: the first frames of each video; random: a random clip of each.
        num: How many, or all. Default: all of a folder; 2,048 where they are sampled.
        stride: Frames from one frame of a clip to the next.
        codec: Lossy round trip of generated clips alone. Default: that of the preparation.
        seed: Seed of the choice of videos, where a folder has more than `num`, and of random clips.
    """

    choice: Literal["first", "random"] = "first"
    num: int | Literal["all"] | None = None
    stride: int = 1
    codec: Codec | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers("GeneratedClips", vars(self))
        _check_num("GeneratedClips.num", self.num)
        check_at_least("GeneratedClips.stride", self.stride, 1)
        check_at_least("GeneratedClips.seed", self.seed, 0)

    @property
    def count(self) -> int:
        """How many videos are sampled.

        Raises:
            InvalidArgumentError: All of them, which there is no end of.
        """
        if self.num == "all":
            problem = "is no number of videos to be sampled"
            raise InvalidArgumentError("GeneratedClips.num", "all", problem, "Give one, such as 2048.")
        return self.num or USUAL_COUNT

    def preparation(self, of_both: FramePreparation) -> FramePreparation:
        """The preparation of generated clips."""
        return of_both if self.codec is None else replace(of_both, codec=self.codec)

    def choose(self, source: VideoSource, windows: Windows) -> ClipList:
        """The clips of some videos."""
        num = self.num if isinstance(self.num, int) else None
        return choose_clips(
            source.lengths, source.labels, source.name, windows, choice=self.choice, num=num, seed=self.seed
        )

    def asked(self) -> int | str:
        """What `num` means."""
        return self.num or "all"


def _labels(source: VideoSource) -> np.ndarray:
    """The classes of videos; where none is known, the folders that they lie in, if there are several."""
    if (source.labels >= 0).any():
        return source.labels
    folders = [Path(source.name(index)).parent for index in range(len(source.lengths))]
    number = {folder: place for place, folder in enumerate(sorted(set(folders)))}
    return np.array([number[folder] for folder in folders]) if len(number) > 1 else source.labels


def _check_num(argument: str, num: int | str | None) -> None:
    if isinstance(num, int) and num < 2:
        problem = "is too few: the covariance that distances need is not defined for a single video"
        raise InvalidArgumentError(argument, num, problem, "Give 2 or more; 2,048 is usual.")
