"""How long videos go on from each of the clips that they were made of to the next.

A clip has `clip_frames` frames, of which the first `overlap` are the last ones of the clip before. Videos are uint8
[3 T H W].
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from torch import Tensor

from benchmarks.yardstick.object import Array, likeness, objects_in
from benchmarks.yardstick.summary import Interval, interval, mean

SAME_COLOUR = 30.0
"""Grey levels that the colour of one object may differ by between the first and the last clip."""


def measure_borders(videos: Tensor, clip_frames: int, overlap: int = 0) -> dict[str, Interval]:
    """The jump and `object_at_borders` of videos [N 3 T H W], as means over videos."""
    rows = [
        {"jump": border_jump(video, clip_frames, overlap), **object_at_borders(video, clip_frames, overlap)}
        for video in videos
    ]
    return {name: interval([row[name] for row in rows], mean) for name in rows[0]}


def border_jump(video: Tensor, clip_frames: int, overlap: int = 0) -> float:
    """Mean absolute change at the borders of clips over that from frame to frame inside them.

    About 1 for a continuous video; NaN if there is no border, or no change inside clips.
    """
    border = _borders(video.shape[1], clip_frames, overlap)
    change = np.abs(np.diff(video.numpy().astype(np.float32), axis=1)).mean(axis=(0, 2, 3))
    inside = mean(change[~border])
    return mean(change[border]) / inside if inside > 0 else math.nan


def object_at_borders(video: Tensor, clip_frames: int, overlap: int = 0) -> dict[str, float]:
    """Whether the object of a video, one shape before a plain background, stays the same from clip to clip.

    Returns:
        "colour at borders" and "colour inside": change of the object's mean colour at the borders of clips, and from
        frame to frame inside them, grey levels of the channel that changes most; NaN if there is none. "same object":
        1 if the last clip shows an object of the kind and, to `SAME_COLOUR`, the colour of that in the first, else 0.
    """
    border = _borders(video.shape[1], clip_frames, overlap)
    kinds, colours = [], np.full((video.shape[1], 3), math.nan)
    parts = np.split(np.arange(len(colours)), np.flatnonzero(border) + 1)
    for times in parts:
        clip = video[:, times].numpy().astype(np.float32)
        single = objects_in(clip).single  # found clip by clip: each may have a background of its own
        kinds.append(likeness(single)[0])
        for t, thing in single:
            core = ndimage.binary_erosion(thing.mask)
            colours[times[t]] = clip[:, t, core if core.any() else thing.mask].mean(axis=1)
    change = np.abs(np.diff(colours, axis=0)).max(axis=1)
    first, last = ([mean(channel) for channel in colours[times].T] for times in (parts[0], parts[-1]))
    same = kinds[0] == kinds[-1] is not None and np.abs(np.subtract(first, last)).max() < SAME_COLOUR
    at_borders, inside = mean(change[border]), mean(change[~border])
    return {"colour at borders": at_borders, "colour inside": inside, "same object": float(same)}


def _borders(num_frames: int, clip_frames: int, overlap: int) -> Array:
    """Which steps from a frame to the next lead to another clip: bool [T - 1]."""
    beyond_first = np.arange(1, num_frames) - clip_frames
    return (beyond_first >= 0) & (beyond_first % (clip_frames - overlap) == 0)
