"""The options of `pvdm test`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pvdm_lightning.errors import InvalidArgumentError, check_numbers

USUAL_COUNT = 2048
"""Videos a side in the protocol of StyleGAN-V, which FVD metrics of the literature follow."""

SPLITS = {"train": "train", "test": "val", "all": "all"}
"""What the option calls a split -> what data modules call it."""


@dataclass
class Evaluation:
    """What `pvdm test` measures.

    Args:
        num_videos: Number of real and of generated videos. Default: 2,048 (stage two), all clips (stage one).
        split: Where the real videos come from: train, test, or all for both. Default: train (stage two), test (one).
        frames: Lengths at which FVD is taken, e.g. [16,128]. Default: one clip of the model, and eight. Stage two.
        frame_step: The longest length is also measured on every so many-th frame, as StyleGAN-V does, where that
            leaves 9 frames or more; 1 leaves it out. Stage two.
        inception_splits: Splits of the Inception Score; 0 leaves it out. Stage two.
        distances: Names of distances, e.g. [frechet,kvd].
        bootstrap: Resamples behind the interval of each distance; 0 leaves intervals out.
        repeats: Draws of what `repeat_over` says; their mean and std are reported. Stage two.
        repeat_over: What is drawn again, with the next seed: real clips, generated videos, or both. Stage two.
        dir: Folder for the report and the generated videos.
    """

    num_videos: int | None = None
    split: Literal["train", "test", "all"] | None = None
    frames: list[int] | None = None
    frame_step: int = 8
    inception_splits: int = 10
    distances: list[str] = field(default_factory=lambda: ["frechet"])
    bootstrap: int = 50
    repeats: int = 1
    repeat_over: Literal["real", "generated", "both"] = "real"
    dir: str = "evaluation"

    def __post_init__(self) -> None:
        check_numbers("Evaluation", vars(self))
        check_counts("Evaluation.", self.num_videos, self.frames, self.frame_step, self.inception_splits)


def check_counts(
    prefix: str, num_videos: int | None, frames: list[int] | None, frame_step: int, inception_splits: int
) -> None:
    """Raise the `InvalidArgumentError` for a count that nothing can be measured with; flags start with `prefix`."""
    if num_videos is not None and num_videos < 2:
        problem = "is too few: the covariance that FVD needs is not defined for a single video"
        raise InvalidArgumentError(f"{prefix}num_videos", num_videos, problem, "Give 2 or more; 2,048 is usual.")
    if frames is not None and (not frames or min(frames) < 1):
        raise InvalidArgumentError(
            f"{prefix}frames", frames, "is not a list of lengths", "Give frames of a video, such as [16,128]."
        )
    if frame_step < 1:
        raise InvalidArgumentError(f"{prefix}frame_step", frame_step, "is less than 1", "Give 1 to leave it out, or 8.")
    if inception_splits < 0:
        raise InvalidArgumentError(
            f"{prefix}inception_splits", inception_splits, "is negative", "Give 0 to leave the score out, or 10."
        )
