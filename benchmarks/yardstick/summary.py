"""Measures of a set of clips beside those of real ones, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from scipy.stats import wasserstein_distance

from benchmarks.yardstick.clip import ClipMeasures
from pvdm_lightning.data.videos.synthetic import SHAPES

EMPTY = 0.45
"""A clip is empty if its contrast is below this share of the emptiest real one's."""
RESAMPLES = 200
Clips = Sequence[ClipMeasures]
T = TypeVar("T")
Interval = tuple[float, float, float]
"""Value, and the 5th and 95th percentile of its bootstrap."""


def interval(items: Sequence[T], measure: Callable[[Sequence[T]], float], seed: int = 0) -> Interval:
    """The measure of some items, such as the mean of numbers, with its bootstrap; NaN where there are none."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(items), size=len(items)) for _ in range(RESAMPLES if len(items) else 0)]
    again = [measure([items[i] for i in draw]) for draw in draws]
    kept = [each for each in again if not np.isnan(each)]
    low, high = np.percentile(kept, [5, 95]) if kept else (np.nan, np.nan)
    return measure(items), float(low), float(high)


def summarise(clips: Clips, real: Clips, seed: int = 0) -> dict[str, Interval]:
    """What distinguishes clips from real ones.

    Shares are of all clips. Distances of factors are Wasserstein-1, each in standard deviations of the real factor,
    and their mean; the distance of kinds is half the sum of absolute differences of their shares.

    Args:
        clips: The ones to judge.
        real: The ones to compare them with.
        seed: Of the bootstrap.
    """
    return {name: interval(clips, measure, seed) for name, measure in measures_of(real).items()}


def measures_of(real: Clips) -> dict[str, Callable[[Clips], float]]:
    """Each measure of a set of clips, by name; real clips come out at the noise floor."""
    emptiest = EMPTY * min(clip.contrast for clip in real)
    sharpness = mean([clip.sharpness for clip in real])
    return {
        "empty": lambda clips: float(np.mean([clip.contrast < emptiest for clip in clips])),
        "one object": lambda clips: float(np.mean([clip.compact and clip.contrast >= emptiest for clip in clips])),
        "recognised": lambda clips: float(np.mean([clip.recognised for clip in clips])),
        "kinds": lambda clips: _kinds(clips, real),
        "factors": lambda clips: _factors(clips, real),
        "sharpness": lambda clips: mean([clip.sharpness for clip in clips]) / sharpness,
        "texture": lambda clips: mean([clip.texture for clip in clips]),
        "grid": lambda clips: mean([clip.grid for clip in clips]),
    }


def mean(values: Iterable[float]) -> float:
    """The mean of those values that are not NaN; NaN if all are."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def _kinds(clips: Clips, real: Clips) -> float:
    """Clips without a kind count as a kind of their own."""
    shares = [
        [sum(clip.kind == kind for clip in some) / len(some) for kind in (*SHAPES, None)] for some in (clips, real)
    ]
    ours, theirs = np.array(shares)
    return float(np.abs(ours - theirs).sum() / 2)


def _factors(clips: Clips, real: Clips) -> float:
    distances = []
    known, theirs = ([clip.factors for clip in some if clip.factors] for some in (clips, real))
    for name in theirs[0]:
        ours, others = ([factors[name] for factors in some] for some in (known, theirs))
        if len(ours) < 4:
            return np.nan
        distances.append(wasserstein_distance(ours, others) / np.std(others))
    return float(np.mean(distances))
