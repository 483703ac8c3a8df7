"""The options of `pvdm test` and `pvdm evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.evaluation.chosen_networks import check_networks
from pvdm_lightning.evaluation.clip_options import FramePreparation, GeneratedClips, RealClips
from pvdm_lightning.evaluation.figures import Figures, check_distances
from pvdm_lightning.evaluation.named_protocol import CUSTOM, check_protocol

SPLITS = {"train": "train", "test": "val", "all": "all"}
"""What the option calls a split -> what data modules call it."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured, on which clips.

    Args:
        protocol: A published protocol by name, such as stylegan_v or latte, a file of configs/evaluation. On the
            command line its settings are the defaults of all others. The report gives the name if every setting is
            that protocol's, or what differs. custom: none. Not of reconstructions.
        frames: Lengths of clips at which distances are taken, e.g. [16,128]. Default: in folders 16; of samples one
            clip of the model, and eight. Reconstructions have the length of a clip.
        frame_step: The longest length is also measured on every so many-th frame, as StyleGAN-V does, where that
            leaves 9 frames or more; 1 leaves it out. Not of reconstructions.
        split: Where the real videos come from: train, test, or all for both. Default: train for samples, test for
            reconstructions.
        inception_splits: Splits of the Inception Score; 0 leaves it out. Not of reconstructions.
        inception_loops: Disjoint parts of the videos, each with an Inception Score: their mean and std are reported.
        distances: Names of distances, e.g. [frechet,kvd], and motion.
        networks: Names of the networks that measure, e.g. [i3d-stylegan-v,c3d-ucf101]. Default: all that are there.
        bootstrap: Resamples behind the interval of each distance; 0 leaves intervals out.
        repeats: Draws of what `repeat_over` says; their mean and std are reported. Not of reconstructions.
        repeat_over: What is drawn again, with the next seed: real clips; generation, which is samples, or clips of a
            folder; or both.
        real: Clips of real videos.
        generated: Clips of generated videos.
        preparation: How frames become the pixels that are measured.
        dir: Folder for the report and the generated videos.
    """

    protocol: str = CUSTOM
    frames: list[int] | None = None
    frame_step: int = 8
    split: Literal["train", "test", "all"] | None = None
    inception_splits: int = 10
    inception_loops: int = 1
    distances: list[str] = field(default_factory=lambda: ["frechet", "motion"])
    networks: list[str] | None = None
    bootstrap: int = 50
    repeats: int = 1
    repeat_over: Literal["real", "generation", "both"] = "real"
    real: RealClips = field(default_factory=RealClips)
    generated: GeneratedClips = field(default_factory=GeneratedClips)
    preparation: FramePreparation = field(default_factory=FramePreparation)
    dir: str = "evaluation"

    def __post_init__(self) -> None:
        check_numbers("Evaluation", vars(self))
        if self.frames is not None and (not self.frames or min(self.frames) < 1):
            remedy = "Give frames of a video, such as [16,128]."
            raise InvalidArgumentError("Evaluation.frames", self.frames, "is not a list of lengths", remedy)
        if self.frame_step < 1:
            remedy = "Give 1 to leave it out, or 8."
            raise InvalidArgumentError("Evaluation.frame_step", self.frame_step, "is less than 1", remedy)
        for argument in ("inception_loops", "repeats"):
            check_at_least(f"Evaluation.{argument}", getattr(self, argument), 1)
        check_at_least("Evaluation.bootstrap", self.bootstrap, 0)
        check_distances("Evaluation.distances", self.distances)
        check_networks("Evaluation.networks", self.networks or ())
        check_protocol("Evaluation.protocol", self.protocol)
        if self.inception_splits < 0:
            remedy = "Give 0 to leave the score out, or 10."
            raise InvalidArgumentError("Evaluation.inception_splits", self.inception_splits, "is negative", remedy)

    def draws(self, what: Literal["real", "generation"]) -> int:
        """How often real clips or samples are drawn."""
        return self.repeats if self.repeat_over in (what, "both") else 1

    def repeats_record(self) -> dict[str, Any] | None:
        """What a report says of `repeats`."""
        return {"count": self.repeats, "over": self.repeat_over} if self.repeats > 1 else None

    def figures(self) -> Figures:
        """Which figures are computed from features."""
        return Figures(self.distances, self.bootstrap, self.inception_splits, self.inception_loops)


def check_rounding(evaluation: Evaluation) -> None:
    """Raise `InvalidArgumentError` for unquantised frames, which models here neither take nor give."""
    if evaluation.preparation.rounding == "none":
        problem = "is not possible with samples and reconstructions, which are uint8"
        remedy = "Give round or truncate, or measure folders of videos with `pvdm evaluate`."
        raise InvalidArgumentError("FramePreparation.rounding", "none", problem, remedy)
