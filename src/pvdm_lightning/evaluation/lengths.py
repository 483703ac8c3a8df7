"""The lengths and frames that metrics use, and those skipped because videos are too short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pvdm_lightning.evaluation.feature_networks import SkippedMetric, frechet_name
from pvdm_lightning.metrics import FRAME_DIFFERENCES, FrozenNetwork
from pvdm_lightning.metrics.c3d import FRAMES as INCEPTION_FRAMES
from pvdm_lightning.metrics.i3d import MIN_FRAMES


@dataclass(frozen=True)
class Selection:
    """The frames of a video that a distance uses.

    Attributes:
        length: Frames of the video.
        num_frames: Frames that are measured.
        frame_step: From one of them to the next.
    """

    length: int
    num_frames: int
    frame_step: int = 1

    @property
    def frames(self) -> str:
        """``16``, or ``16 of 128`` where frames are skipped."""
        return f"{self.num_frames}" + (f" of {self.length}" if self.frame_step > 1 else "")

    @property
    def span(self) -> int:
        """Frames from the first to the last that is measured."""
        return (self.num_frames - 1) * self.frame_step + 1


@dataclass(frozen=True)
class Lengths:
    """What is measured at which lengths.

    Attributes:
        selections: Frames that each distance takes.
        inception: Length of the videos whose first 16 frames the Inception Score sees; None without one.
        skipped: What was wanted, but is not possible.
    """

    selections: Sequence[Selection]
    inception: int | None
    skipped: Sequence[SkippedMetric]

    @property
    def used(self) -> list[int]:
        """All lengths that something is measured at, sorted."""
        return sorted({one.length for one in self.selections} | ({self.inception} if self.inception else set()))


def choose_lengths(
    frames: Sequence[int], frame_step: int, inception_score: bool, networks: Sequence[FrozenNetwork]
) -> Lengths:
    """What can be measured on videos of these lengths.

    Args:
        frames: The lengths.
        frame_step: Step of the subsampled distance, taken at the longest length if 9 frames or more remain; 1 for none.
        inception_score: Whether one is wanted.
        networks: Those of distances. A length that some of them can take is selected.
    """
    skipped = []
    selections = []
    for length in sorted(set(frames)):
        short = [network for network in networks if length < network.min_frames]
        # Frame differences go with others: they select no length where there are some.
        if {*networks} - {*short} - ({FRAME_DIFFERENCES} if len(networks) > 1 else set()):
            selections.append(Selection(length, length))
        for network in short:
            what = "motion" if network is FRAME_DIFFERENCES else frechet_name(network.name)
            name = f"{what} {length} ({network.name})"
            skipped.append(SkippedMetric(name, f"it needs {network.min_frames} frames or more."))
    longest = max(frames)
    if networks and frame_step > 1 and longest // frame_step >= MIN_FRAMES:
        selections.append(Selection(longest, longest // frame_step, frame_step))
    inception = min((length for length in frames if length >= INCEPTION_FRAMES), default=None)
    if inception_score and inception is None:
        skipped.append(SkippedMetric("IS", f"C3D needs {INCEPTION_FRAMES} frames, the longest videos have {longest}."))
    return Lengths(selections, inception if inception_score else None, skipped)
