"""What is measured of one clip."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from torch import Tensor

from benchmarks.yardstick.object import Array, Found, likeness, objects_in

NAN = math.nan


@dataclass
class ClipMeasures:
    """Measures of a clip; NaN where there is nothing to measure.

    Args:
        contrast: 99th percentile over pixels of the distance from the background, grey levels; empty clips lack it.
        compact: Whether 9 of 10 frames show exactly one compact object.
        recognised: Whether it is, all along, like one kind of shape (intersection over union above 0.8).
        kind: That kind, the most frequent one.
        overlap: Mean intersection over union with it.
        sharpness: Steepest change at the object's edge, as a share of the contrast in a pixel.
        texture: Root mean square of what is left of the background without its fit, grey levels.
        grid: Change across borders of patches less change elsewhere, in the background, grey levels.
        factors: What is known of the real set: colour, size, position, speed, turning, growth.
    """

    contrast: float = NAN
    compact: bool = False
    recognised: bool = False
    kind: str | None = None
    overlap: float = NAN
    sharpness: float = NAN
    texture: float = NAN
    grid: float = NAN
    factors: dict[str, float] = field(default_factory=dict)


def measure(clip: Tensor, patch: int) -> ClipMeasures:
    """Measure a video of one shape before a plain background.

    Args:
        clip: uint8 [3 T H W].
        patch: Side of the autoencoder's patches, pixels.
    """
    video = clip.numpy().astype(np.float32)
    rest, away, contrast, single = objects_in(video)
    measures = ClipMeasures(contrast, compact=len(single) >= 0.9 * video.shape[1])
    _kind(measures, single)
    _edges(measures, single, away)
    _background(measures, video, rest, away, patch)
    _factors(measures, single, video, away)
    return measures


def _kind(measures: ClipMeasures, single: list[tuple[int, Found]]) -> None:
    measures.kind, found = likeness(single)
    if not found:
        return
    measures.overlap = float(np.mean([overlap for _, overlap in found]))
    steady = [kind for kind, _ in found].count(str(measures.kind)) >= 0.7 * len(found)
    measures.recognised = measures.compact and steady and measures.overlap > 0.8


def _edges(measures: ClipMeasures, single: list[tuple[int, Found]], away: Array) -> None:
    slopes = []
    for t, thing in single:
        slope = ndimage.gaussian_gradient_magnitude(away[t], 0.5)
        edge = ndimage.binary_dilation(thing.filled) & ~ndimage.binary_erosion(thing.filled)
        slopes.append(np.percentile(slope[edge], 75) / measures.contrast)
    if slopes:
        measures.sharpness = float(np.mean(slopes))


def _background(measures: ClipMeasures, video: Array, rest: Array, away: Array, patch: int) -> None:
    disc = ndimage.generate_binary_structure(2, 1)[None]
    behind = ~ndimage.binary_dilation(away > 0.25 * measures.contrast, disc, iterations=3)
    if not behind.any():
        return
    measures.texture = float(np.sqrt(np.square(rest[:, behind]).mean()))
    change, both = np.abs(np.diff(video, axis=3)).mean(axis=0), behind[:, :, 1:] & behind[:, :, :-1]
    border = np.arange(1, video.shape[3]) % patch == 0
    at, inside = change[both & border], change[both & ~border]
    if len(at) and len(inside):
        measures.grid = float(at.mean() - inside.mean())


def _factors(measures: ClipMeasures, single: list[tuple[int, Found]], video: Array, away: Array) -> None:
    if len(single) < 4:
        return
    times, places = np.array([t for t, _ in single]), np.array([thing.centre for _, thing in single])
    areas = np.array([thing.filled.mean() for _, thing in single])
    steps = np.diff(places, axis=0) / np.diff(times)[:, None]
    colour = video[:, away > 0.8 * measures.contrast].mean(axis=1)
    red, green, blue = colour / max(1e-6, float(np.linalg.norm(colour)))
    measures.factors = {
        "red": float(red),
        "green": float(green),
        "blue": float(blue),
        "size": float(np.sqrt(areas.mean())),
        "y": float(places[:, 0].mean()),
        "x": float(places[:, 1].mean()),
        "speed": float(np.linalg.norm(steps, axis=1).mean()),
        "turning": float(np.linalg.norm(np.diff(steps, axis=0), axis=1).mean()),
        "growth": float(areas.std() / areas.mean()),
    }
