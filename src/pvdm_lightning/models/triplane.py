"""The projected latent: three 2D planes of a clip, and their one token sequence (PVDM, section 3.1).

The superscript of a plane is the axis that was projected away: z^s keeps height and width (content), z^h keeps
time and width, z^w keeps time and height (motion).

Outside of networks a latent is a sequence [B C L]. Inside of the U-Net features are rows: one buffer [B*L C] of
tokens, first those of z^s of all samples, then of z^h, then of z^w. Each plane of the batch is then an image in
channels-last memory, and a linear layer one matrix product over all tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d


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

    def project(self, volume: Tensor) -> Tensor:
        """Means of a volume along each axis, in the order of the sequence.

        Args:
            volume: [B C S H W] of any sizes, which are pooled to those of the planes, such as depth per frame; of size
                1 along an axis where it does not change, such as an action per frame, [B C S 1 1].

        Returns:
            [B C L].
        """
        volume = adaptive_avg_pool3d(volume, (self.frames, self.height, self.width))
        return torch.cat([volume.mean(axis).flatten(2) for axis in (2, 3, 4)], dim=2)

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


@dataclass(frozen=True)
class RowLayout:
    """How the features of a batch of triplanes lie in one buffer of rows [B*L C].

    Args:
        batch: B.
        shape: Sizes of the planes.
    """

    batch: int
    shape: TriplaneShape

    @property
    def lengths(self) -> list[int]:
        """Rows of z^s, z^h and z^w."""
        return [self.batch * length for length in self.shape.lengths]

    @property
    def joins(self) -> bool:
        """Whether z^h and z^w are one image of 2B samples: their sizes agree."""
        return self.shape.height == self.shape.width

    def image_shapes(self, join: bool = True) -> list[tuple[int, int, int]]:
        """(samples, rows, columns) of each image; `join` as of `images`."""
        content, over_height, over_width = self.shape.planes
        if join and self.joins:
            return [(self.batch, *content), (2 * self.batch, *over_height)]
        return [(self.batch, *content), (self.batch, *over_height), (self.batch, *over_width)]

    def sizes(self, join: bool = True) -> list[tuple[int, int]]:
        """(samples, positions) of each image; `join` as of `images`."""
        return [(samples, rows * columns) for samples, rows, columns in self.image_shapes(join)]

    def halved(self) -> RowLayout:
        """Every side halved, rounded up."""
        return RowLayout(self.batch, self.shape.halved())

    def images(self, rows: Tensor, join: bool = True) -> list[Tensor]:
        """The planes of rows [B*L C] as images [B' C R Q], views in channels-last memory.

        Args:
            rows: The features.
            join: Give z^h and z^w as one image where `joins` says so.
        """
        shapes = self.image_shapes(join)
        parts = rows.split([batch * height * width for batch, height, width in shapes])
        return [part.unflatten(0, shape).permute(0, 3, 1, 2) for part, shape in zip(parts, shapes, strict=True)]

    def rows(self, images: Sequence[Tensor]) -> Tensor:
        """Images [B' C R Q] -> rows [B*L C], a copy; the inverse of `images`."""
        return torch.cat([image.permute(0, 2, 3, 1).flatten(0, 2) for image in images])

    def from_sequence(self, sequence: Tensor) -> Tensor:
        """Sequence [B C L] -> rows [B*L C], a copy."""
        parts = sequence.transpose(1, 2).split(list(self.shape.lengths), dim=1)
        return torch.cat([part.flatten(0, 1) for part in parts])

    def to_sequence(self, rows: Tensor) -> Tensor:
        """Rows [B*L C] -> sequence [B C L], a view of a copy."""
        return self.tokens(rows).transpose(1, 2)

    def tokens(self, rows: Tensor) -> Tensor:
        """Rows [B*L C] -> the tokens of each sample side by side, [B L C], a copy."""
        return torch.cat([part.unflatten(0, (self.batch, -1)) for part in rows.split(self.lengths)], dim=1)

    def add_images(self, rows: Tensor, images: Sequence[Tensor]) -> Tensor:
        """Rows [B*L C] plus images [B' C R Q], without a copy of either."""
        return _added(rows, [image.permute(0, 2, 3, 1) for image in images])

    def add_parts(self, rows: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Rows [B*L C] plus parts [... C] that lie one after another in them, without a copy of either."""
        return _added(rows, list(parts))

    def add_tokens(self, rows: Tensor, tokens: Tensor) -> Tensor:
        """Rows [B*L C] plus tokens [B L C], or tokens [L C] that all samples share; without a copy of either."""
        parts = tokens.split(list(self.shape.lengths), dim=-2)
        return _added(rows, [part.expand(self.batch, -1, -1) for part in parts])


def _added(rows: Tensor, parts: list[Tensor]) -> Tensor:
    added: Tensor = _AddParts.apply(rows, *parts)
    return added


class _AddParts(torch.autograd.Function):
    """Rows [N C] plus tensors [... C] that lie one after another in them, each added where it belongs.

    Autograd's own way is to join the parts first, and to join their gradients.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, *parts: Tensor) -> Tensor:
        ctx.shapes, ctx.dtypes = [part.shape for part in parts], (rows.dtype, [part.dtype for part in parts])
        same = rows.dtype == parts[0].dtype
        out = rows.new_empty(rows.shape, dtype=rows.dtype if same else torch.promote_types(rows.dtype, parts[0].dtype))
        for own, place, part in zip(_split(rows, ctx.shapes), _split(out, ctx.shapes), parts, strict=True):
            torch.add(own, part, out=place)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        of_rows, of_parts = ctx.dtypes
        parts = zip(_split(grad.contiguous(), ctx.shapes), of_parts, strict=True)
        return (grad.to(of_rows), *(part.to(dtype) for part, dtype in parts))


def _split(rows: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Rows [N C] -> views of these shapes [... C], one after another."""
    parts = rows.split([shape[:-1].numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
