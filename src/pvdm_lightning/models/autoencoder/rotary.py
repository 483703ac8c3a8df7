"""Rotary positions over time and over the patches of a frame.

Both tables hold angles [N, D_head]; a rotation turns each adjacent pair of channels (2j, 2j + 1).
"""

import math

import torch
from torch import Tensor


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


def rotate(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    """Turn adjacent pairs of channels of x [B N H D_head] by the angles whose sin and cos [N 1 D_head] are given."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    # The sign goes to the small table rather than through a pass over the large tensor.
    signed_sin = torch.stack([-sin[..., 0::2], sin[..., 1::2]], dim=-1).flatten(-2)
    swapped = torch.stack([odd, even], dim=-1).flatten(-2)
    return swapped.mul_(signed_sin).addcmul_(x, cos)
