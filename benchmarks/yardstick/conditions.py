"""Whether samples are what they were conditioned on: of their class, and with the frames that were given."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from benchmarks.yardstick.features import distance
from benchmarks.yardstick.object import likeness, objects_in
from benchmarks.yardstick.summary import Interval, interval, mean
from pvdm_lightning.data.videos.synthetic import SHAPES

ALL, NAN = "all", float("nan")


def class_accuracy(clips: Tensor, labels: np.ndarray) -> dict[str, Interval]:
    """Share of clips that show the kind of shape they should, by kind, and of all.

    The classifier has no weights: it compares the outline of the object with those of the kinds, in every fifth frame,
    and takes the kind that most frames are like. A clip in which it finds no object is wrong.

    Args:
        clips: uint8 [N 3 T H W], each of one shape before a plain background.
        labels: Places of their kinds in `SHAPES`, int64 [N].
    """
    found = [likeness(objects_in(clip.numpy().astype(np.float32)).single)[0] for clip in clips]
    right = np.array([kind == SHAPES[label] for kind, label in zip(found, labels, strict=True)], dtype=float)
    shares = {kind: interval(right[labels == label].tolist(), mean) for label, kind in enumerate(SHAPES)}
    return shares | {ALL: interval(right.tolist(), mean)}


def class_distances(
    features: Tensor, labels: np.ndarray, real: Tensor, real_labels: np.ndarray
) -> list[dict[str, Interval]]:
    """Frechet distances of the clips of a kind to real ones of that kind, and, on average, of another kind.

    Each is between as many clips, because the distance of few clips depends on their number.

    Args:
        features: Features of clips, [N F].
        labels: Places of their kinds in `SHAPES`, int64 [N].
        real: Features of real clips, [M F].
        real_labels: The same of these, int64 [M].

    Returns:
        By kind, and the mean of all: distances to the own kind, and to others. NaN if a kind has fewer than two clips.
    """
    kinds = range(len(SHAPES))
    ours, theirs = ([some[of == kind] for kind in kinds] for some, of in ((features, labels), (real, real_labels)))
    least = min(map(len, ours + theirs))
    apart = np.full((len(kinds), len(kinds)), NAN)
    if least > 1:
        apart = np.array([[distance(mine[:least], other[:least]) for other in theirs] for mine in ours])
    own = apart.diagonal()
    others = (apart.sum(axis=1) - own) / (len(kinds) - 1)
    names = (*SHAPES, ALL)
    return [{name: (float(x), NAN, NAN) for name, x in zip(names, (*row, row.mean()))} for row in (own, others)]


def known_frames_psnr(generated: Tensor, given: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of the frames that were given, [N]; at most 100, and NaN where none was.

    Args:
        generated: uint8 [N 3 S H W].
        given: The same, of which the frames of the mask were given.
        mask: bool [N S].
    """
    error = ((generated.double() - given.double()) / 255).square().mean(dim=(1, 3, 4))
    return -10 * ((error * mask).sum(dim=1) / mask.sum(dim=1)).clamp_min(1e-10).log10()
