"""Which axis of an array of videos is which: stated, or found where its shape and pictures leave one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pvdm_lightning.data.index.video_info import MOST_PIXELS
from pvdm_lightning.errors import InvalidArgumentError

AXES = "NTHWC"
"""Videos, frames, height, width, and 1 or 3 colours; N and C may be left out."""
ORDERS = {
    4: ("THWC", "TCHW", "CTHW", "NTHW", "TNHW"),
    5: ("NTHWC", "NTCHW", "NCTHW", "TNHWC", "TNCHW"),
}
"""Orders that are looked for, by the number of axes."""
COLOURS = (1, 3)
SMALLEST_SIDE = 8
"""Pixels of a picture whose axes are looked for; a stated order may have fewer."""
_SPOTS = 24
_CLEARLY = 0.75


def check_axes(axes: str) -> str:
    """The order of axes in upper case.

    Raises:
        InvalidArgumentError: It is none.
    """
    letters = axes.upper()
    if len({*letters}) < len(letters) or not {*"THW"} <= {*letters} <= {*AXES}:
        problem = "is no order of the axes N (videos), T (frames), H, W and C (colours), of which T, H and W are needed"
        raise InvalidArgumentError("DataModule.axes", axes, problem, "Give such as TNHW or NTHWC.")
    return letters


def problem_of(shape: Sequence[int], axes: str) -> str:
    """Why an array of this shape cannot have its axes in this order; "" if it can."""
    if len(shape) != len(axes):
        return f"has {len(shape)} axes, not {len(axes)} ({axes})"
    sizes = dict(zip(axes, shape))
    if 0 in shape:
        return f"is empty ({list(shape)})"
    if sizes.get("C", 1) not in COLOURS:
        return f"has {sizes['C']} colours by the order {axes}, not 1 or 3"
    if sizes["H"] * sizes["W"] > MOST_PIXELS:
        return f"has pictures of {sizes['W']} x {sizes['H']} pixels, and at most {MOST_PIXELS:,} are read"
    return ""


def find_axes(array: Any) -> list[str]:
    """The orders that the axes of an array may have: one if it is certain, none if it holds no videos.

    An axis of 1 or 3 is the colours. Where one axis counts videos and one frames, time is the one along which
    neighbouring pictures differ clearly less.

    Args:
        array: With `shape`, giving a numpy array for an index.
    """
    shape = tuple(array.shape)
    possible = [axes for axes in ORDERS.get(len(shape), ()) if not problem_of(shape, axes) and _plausible(shape, axes)]
    possible = [axes for axes in possible if "C" in axes] or possible
    if len(possible) == 2 and possible[0].translate(str.maketrans("NT", "TN")) == possible[1]:
        along_n, along_t = (_difference(array, possible[0], axis) for axis in "NT")
        if along_t < _CLEARLY * along_n:
            return possible[:1]
        if along_n < _CLEARLY * along_t:
            return possible[1:]
    return possible


def _plausible(shape: Sequence[int], axes: str) -> bool:
    sizes = dict(zip(axes, shape))
    return sizes["T"] > 1 and min(sizes["H"], sizes["W"]) >= SMALLEST_SIDE


def _difference(array: Any, axes: str, along: str) -> float:
    """Mean difference of neighbouring pictures along an axis, at some places of the array."""
    sizes = dict(zip(axes, array.shape))
    if sizes[along] < 2:
        return np.inf
    spots = np.arange(_SPOTS)
    # Both indices go through their axes, the second one several times.
    numbers = spots * (sizes["N"] - 1) // _SPOTS, spots * 7 % _SPOTS * (sizes["T"] - 1) // _SPOTS
    total = 0.0
    for video, frame in zip(*numbers):
        beside = (video + 1, frame) if along == "N" else (video, frame + 1)
        one, other = (_coarse(picture(array, axes, *place)) for place in ((video, frame), beside))
        total += float(np.abs(one - other).mean())
    return total / _SPOTS


def _coarse(frame: np.ndarray) -> np.ndarray:
    """Means of the blocks of a picture, about 16 x 16 of them: small shapes that move a little stay in theirs."""
    block = max(1, min(frame.shape[:2]) // 16)
    height, width = (side // block * block for side in frame.shape[:2])
    blocks = frame[:height, :width].astype(np.float64).reshape(height // block, block, width // block, block, -1)
    return blocks.mean(axis=(1, 3))


def picture(array: Any, axes: str, video: int, frame: int) -> np.ndarray:
    """A picture of an array of videos, [H W C] of its own type.

    Args:
        array: As for `find_axes`.
        axes: Order of its axes.
        video: Number of the video; 0 if there is no axis N.
        frame: Number of the frame.
    """
    numbers = {"N": int(video), "T": int(frame)}
    chosen = np.asarray(array[tuple(numbers.get(axis, slice(None)) for axis in axes)])
    left = [axis for axis in axes if axis not in numbers]
    chosen = chosen.transpose([left.index(axis) for axis in "HWC" if axis in left])
    return chosen if "C" in left else chosen[..., None]
