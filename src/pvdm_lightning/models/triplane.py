"""The projected latent: three 2D planes of a clip, and their one token sequence (PVDM, section 3.1).

The superscript of a plane is the axis that was projected away: z^s keeps height and width (content), z^h keeps
time and width, z^w keeps time and height (motion).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class TriplaneShape:
    """Sizes of the latent planes; the one owner of these numbers.

    Args:
        frames: S, frames of a clip.
        height: H', rows of patches in a frame.
        width: W', columns of patches in a frame.
    """

    frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if not all(1 <= side < 2**31 for side in (self.frames, self.height, self.width)):
            raise ValueError(f"every side of a triplane is at least 1, got {self}")

    @classmethod
    def of_clip(cls, frames: int, height: int, width: int, patch: int) -> TriplaneShape:
        """Shape of the latent of a clip of `frames` x `height` x `width` pixels cut into square patches.

        Raises:
            ValueError: `height` or `width` is not a multiple of `patch`.
        """
        if patch < 1 or height % patch or width % patch:
            raise ValueError(f"{height} x {width} pixels cannot be cut into patches of {patch} x {patch}")
        return cls(frames, height // patch, width // patch)

    @property
    def planes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(rows, columns) of z^s, z^h, z^w, in the order of the sequence."""
        return (self.height, self.width), (self.frames, self.width), (self.frames, self.height)

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Tokens of z^s, z^h, z^w."""
        content, over_height, over_width = (rows * columns for rows, columns in self.planes)
        return content, over_height, over_width

    @property
    def num_tokens(self) -> int:
        """L = H'W' + SW' + SH'."""
        return sum(self.lengths)

    def halved(self) -> TriplaneShape:
        """Every side halved, rounded up."""
        return TriplaneShape((self.frames + 1) // 2, (self.height + 1) // 2, (self.width + 1) // 2)


class Triplane(NamedTuple):
    """The three planes of a batch of clips; values in [-1, 1] after the encoder's tanh.

    Attributes:
        z_s: [B C H' W'], content common to all frames.
        z_h: [B C S W'], projected over the height axis.
        z_w: [B C S H'], projected over the width axis.
    """

    z_s: Tensor
    z_h: Tensor
    z_w: Tensor

    @property
    def shape(self) -> TriplaneShape:
        return TriplaneShape(frames=self.z_h.shape[2], height=self.z_s.shape[2], width=self.z_s.shape[3])

    def to_sequence(self) -> Tensor:
        """[B C L]: the tokens of z^s (h w), then z^h (t w), then z^w (t h)."""
        return torch.cat([plane.flatten(2) for plane in self], dim=2)

    @classmethod
    def from_sequence(cls, sequence: Tensor, shape: TriplaneShape) -> Triplane:
        """Split [B C L] into planes; the inverse of `to_sequence`. The planes are views.

        Raises:
            ValueError: the sequence has another length than the shape.
        """
        if sequence.dim() != 3 or sequence.shape[2] != shape.num_tokens:
            raise ValueError(f"a latent sequence of {shape} is [B C {shape.num_tokens}], got {list(sequence.shape)}")
        parts = sequence.split(list(shape.lengths), dim=2)
        return cls(*(part.unflatten(2, sides) for part, sides in zip(parts, shape.planes, strict=True)))

    def map(self, fn: Callable[[Tensor], Tensor]) -> Triplane:
        """Apply `fn` to each plane."""
        return Triplane(fn(self.z_s), fn(self.z_h), fn(self.z_w))
