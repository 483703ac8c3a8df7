"""Rotary positions over time and over the patches of a frame.

Both tables hold angles [N, D_head]; a rotation turns each adjacent pair of channels (2j, 2j + 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


def temporal_angles(frames: int, head_dim: int, device: torch.device) -> Tensor:
    """Angles [S, D_head] of the frames: t * 10000^(-2i / D_head).

    The table is laid out (f_0 .. f_k, f_0 .. f_k) although pairs are adjacent, so the two channels of a pair turn by
    different angles. That is what the released weights were trained with, and it is kept for them.
    """
    exponents = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    angles = torch.arange(frames, device=device, dtype=torch.float32)[:, None] * 10000.0**-exponents
    return torch.cat([angles, angles], dim=1)


def axial_angles(height: int, width: int, head_dim: int, device: torch.device, max_frequency: float = 10.0) -> Tensor:
    """Angles [H'W', D_head] of the patches: those of the row, then those of the column, each twice in a row.

    Positions run from -1 to 1 whatever the number of patches, at scales from 1 to `max_frequency` / 2.
    """
    steps = torch.linspace(0.0, math.log2(max_frequency / 2), head_dim // 4, device=device)
    scales = math.pi * 2.0**steps
    rows = torch.linspace(-1.0, 1.0, height, device=device)[:, None] * scales
    columns = torch.linspace(-1.0, 1.0, width, device=device)[:, None] * scales
    grid = torch.cat(
        [rows[:, None].expand(height, width, -1), columns[None].expand(height, width, -1)],
        dim=2,
    )
    return grid.flatten(0, 1).repeat_interleave(2, dim=1)


class Rotation(NamedTuple):
    """Tables [... D_head] of a rotation, in float32: x turns to x * cos + swapped(x) * sin.

    Attributes:
        cos: Cosines of the angles.
        sin: Their sines, with the sign of the channel: the sign goes to the small table rather than through a pass
            over the large tensor.
        sin_backward: As `sin`, of the gradient.
    """

    cos: Tensor
    sin: Tensor
    sin_backward: Tensor

    @classmethod
    def of(cls, angles: Tensor) -> Rotation:
        """Tables of angles [... D_head]."""
        sin = angles.sin()
        signed = torch.stack([-sin[..., 0::2], sin[..., 1::2]], dim=-1).flatten(-2)
        return cls(angles.cos(), signed, swap_pairs(signed))


def swap_pairs(x: Tensor) -> Tensor:
    """Exchange the two channels of each adjacent pair: x [... D_head]."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([odd, even], dim=-1).flatten(-2)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor | None = None) -> Tensor:
    """Turn adjacent pairs of channels of x [... D_head]; products and sums in float32, the result in the dtype of x.

    Args:
        x: What is turned.
        cos: See `Rotation`.
        sin: See `Rotation`.
        out: Where the result goes.
    """
    # Operators cast as they read and write: autocast would cast in passes of its own.
    with torch.autocast(x.device.type, enabled=False):
        turned = swap_pairs(x) * sin
        if torch.compiler.is_compiling():  # which takes no `out` that is a view, and fuses these
            turned = torch.addcmul(turned, x, cos).to(x.dtype)
            return turned if out is None else out.copy_(turned)
        if out is None:
            out = turned if turned.dtype == x.dtype else torch.empty_like(x)
        return torch.addcmul(turned, x, cos, out=out)


class RotaryHeads(nn.Module):
    """Splits joined queries, keys and values into heads, and turns queries and keys by their positions.

    Args:
        heads: Attention heads.
        head_dim: D_head, channels of a head.
    """

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim

    rotate = staticmethod(rotate)

    def forward(self, qkv: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """[A B 3 * H * D_head] -> q, k, v, each [A B H D_head]; the tables are broadcast."""
        heads = qkv.unflatten(-1, (3 * self.heads, self.head_dim))
        q, k, v = _RotateQueriesAndKeys.apply(heads, *rotation, self.rotate)
        return q, k, v


class _RotateQueriesAndKeys(torch.autograd.Function):
    """The gradient is a rotation, too, written at once where the gradients of q, k and v lie side by side."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor, sin_backward: Tensor, rotate: Callable[..., Tensor]
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(cos, sin_backward)
        ctx.rotate = rotate
        heads = qkv.shape[-2] // 3
        # Both at once and as they lie: passes over heads that are strided apart are slower.
        q, k = rotate(qkv[..., : 2 * heads, :], cos, sin).chunk(2, dim=-2)
        return q, k, qkv[..., 2 * heads :, :]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        q, k, v = gradients
        cos, sin = ctx.saved_tensors
        joined = q.new_empty((*q.shape[:-2], 3 * q.shape[-2], q.shape[-1]))
        to_q, to_k, to_v = joined.chunk(3, dim=-2)
        ctx.rotate(q, cos, sin, out=to_q)
        ctx.rotate(k, cos, sin, out=to_k)
        to_v.copy_(v)
        return joined, None, None, None, None
