"""The object in a clip of one shape before a plain background: where it is, how large, of what kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from pvdm_lightning.data.videos.synthetic import SHAPES, shape_distance

Array = np.ndarray
LEAST_SHARE, MOST_SHARE = 0.02, 0.4
"""Of the frame, that an object covers."""
LEAST_SOLIDITY = 0.85
"""Area of an object, holes filled, over that of its convex hull; every kind of shape has more."""
GRID = 48
"""Side of the grid that masks are compared on."""
_TURNS = {"disc": (1, 1.0), "ring": (1, 1.0), "square": (6, np.pi / 2), "triangle": (12, 2 * np.pi / 3)}


@dataclass(frozen=True)
class Found:
    """The largest region of a frame that stands out.

    Args:
        mask: bool [H W].
        filled: The same with its holes filled.
        single: Whether next to nothing else stands out, and the region is as large and as compact as a shape.
    """

    mask: Array
    filled: Array
    single: bool

    @property
    def inside(self) -> bool:
        """Whether the frame does not cut it off."""
        return bool(self.filled[1:-1, 1:-1].sum() == self.filled.sum())

    @property
    def centre(self) -> Array:
        """(y, x) as a share of the frame's height."""
        return np.array(ndimage.center_of_mass(self.filled)) / len(self.filled)


class Objects(NamedTuple):
    """What a clip shows before its background."""

    rest: Array  # the clip without its background, [3 T H W]
    away: Array  # distance from the background in the channel that differs most, [T H W]
    contrast: float  # 99th percentile of the distance
    single: list[tuple[int, Found]]  # frames with exactly one compact object, and that object


def objects_in(video: Array) -> Objects:
    """The objects in a clip, float [3 T H W]."""
    rest = video - background(video)
    away = np.abs(rest).max(axis=0)
    contrast = float(np.percentile(away, 99))
    found = enumerate(find(frame) for frame in away > max(20.0, 0.5 * contrast))
    return Objects(rest, away, contrast, [(t, thing) for t, thing in found if thing is not None and thing.single])


def background(video: Array) -> Array:
    """The plane of each colour that most pixels of a clip lie in.

    Args:
        video: float [3 T H W].

    Returns:
        float [3 1 H W].
    """
    height, width = video.shape[2:]
    y, x = np.mgrid[0:height, 0:width] / height - 0.5
    basis = np.stack([np.ones_like(y), y, x], axis=-1).reshape(-1, 3)
    pixels, repeated = video.transpose(1, 2, 3, 0).reshape(-1, 3), np.tile(basis, (video.shape[1], 1))
    fit = np.stack([np.median(pixels, axis=0), np.zeros(3), np.zeros(3)])
    for _ in range(5):  # least squares over those pixels that the last fit came near to
        away = np.abs(pixels - repeated @ fit).max(axis=1)
        near = away < max(12, 2.5 * np.median(away))
        fit = np.linalg.lstsq(repeated[near], pixels[near], rcond=None)[0]
    return (basis @ fit).reshape(height, width, 3).transpose(2, 0, 1)[:, None]


def find(stands_out: Array) -> Found | None:
    """The object in a frame, from the pixels that stand out, bool [H W]; None if there is none."""
    labels, count = ndimage.label(stands_out)
    if not count:
        return None
    sizes = ndimage.sum_labels(stands_out, labels, range(1, count + 1))
    mask = labels == 1 + sizes.argmax()
    filled = ndimage.binary_fill_holes(mask)
    sized = LEAST_SHARE < filled.mean() < MOST_SHARE
    return Found(mask, filled, bool(sized and sizes.max() >= 0.9 * sizes.sum() and solidity(filled) > LEAST_SOLIDITY))


def solidity(mask: Array) -> float:
    """Area of a mask over that of its convex hull."""
    points = np.argwhere(mask)
    corners = np.concatenate([points + step for step in ((0, 0), (0, 1), (1, 0), (1, 1))])
    try:
        return float(mask.sum() / ConvexHull(corners).volume)
    except QhullError:
        return 0.0


def kind_of(mask: Array) -> tuple[str, float]:
    """The kind of shape that a mask is most like, at any angle, and its intersection over union with it."""
    normal = _normalised(mask)
    return max(((kind, _overlap(normal, like)) for kind, like in _templates()), key=lambda found: found[1])


def likeness(single: list[tuple[int, Found]]) -> tuple[str | None, list[tuple[str, float]]]:
    """The kind of shape that the object of a clip is like in most of every fifth frame, and `kind_of` each of them."""
    found = [kind_of(thing.mask) for t, thing in single if thing.inside and t % 5 == 0]
    kinds = [kind for kind, _ in found]
    return max(sorted(set(kinds)), key=kinds.count, default=None), found


def _overlap(one: Array, other: Array) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


@cache
def _templates() -> tuple[tuple[str, Array], ...]:
    side = ((np.arange(GRID) + 0.5) / GRID * 2 - 1) * 1.2
    y, x, made = side[:, None], side[None], []
    for kind in SHAPES:
        count, symmetry = _TURNS[kind]
        for angle in np.arange(count) / count * symmetry:
            cos, sin = np.cos(angle), np.sin(angle)
            size = np.full((1, 1), 0.55)
            made.append((kind, _normalised(shape_distance(kind, x * cos + y * sin, y * cos - x * sin, size) < 0)))
    return tuple(made)


def _normalised(mask: Array) -> Array:
    """A mask around its centre, scaled by its area with holes filled: bool [GRID GRID]."""
    filled = ndimage.binary_fill_holes(mask)
    centre_y, centre_x = ndimage.center_of_mass(filled)
    side = ((np.arange(GRID) + 0.5) / GRID * 2 - 1) * np.sqrt(filled.sum()) * 0.9
    where = np.stack(np.meshgrid(centre_y + side, centre_x + side, indexing="ij"))
    return ndimage.map_coordinates(mask.astype(float), where, order=1) > 0.5
