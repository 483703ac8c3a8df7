"""Self-attention among the tokens of a feature sequence [B C L]: inside each plane, or across all three (PVDM, 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.triplane import Triplane, TriplaneShape


class TokenAttention(nn.Module):
    """Group norm, multi-head self-attention, an output projection that starts at zero, and a residual.

    Args:
        channels: C, a multiple of `norm_groups` and of `heads`.
        heads: Attention heads.
        norm_groups: Groups of the norm.
    """

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(norm_groups, channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)
        self.scaled_dot_product = ScaledDotProductAttention()

    def qkv(self, normed: Tensor) -> Tensor:
        """Queries, keys and values [B N 3C] of normed features [B C N]."""
        # A linear layer on the tokens puts the channels of a head side by side, as the fused kernels want them.
        return self.to_qkv(normed.transpose(1, 2))

    def attend(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values [B N 3C] of tokens that see each other -> [B N C]."""
        # The released weights order the output channels of to_qkv as (head, q k v, channel of the head).
        q, k, v = qkv.unflatten(2, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.scaled_dot_product(q, k, v).transpose(1, 2).flatten(2)

    def out(self, attended: Tensor) -> Tensor:
        """[B N C] -> [B C N]."""
        return self.to_out(attended).transpose(1, 2)


class PlaneSelfAttention(nn.Module):
    """Attention among the positions of one plane; the projections take all three planes at once."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor, shape: TriplaneShape) -> Tensor:
        """X [B C L] of planes `shape` -> [B C L]."""
        attention = self.attention
        qkv = attention.qkv(Triplane.from_sequence(x, shape).map(attention.norm).to_sequence())
        return x + attention.out(self._attend(qkv, shape))

    def _attend(self, qkv: Tensor, shape: TriplaneShape) -> Tensor:
        content, over_height, over_width = shape.lengths
        attend = self.attention.attend
        if over_height != over_width:
            return torch.cat([attend(plane) for plane in qkv.split(shape.lengths, dim=1)], dim=1)
        z_s, both = qkv.split([content, over_height + over_width], dim=1)
        both = attend(both.unflatten(1, (2, over_height)).flatten(0, 1))  # z^h and z^w in one call
        return torch.cat([attend(z_s), both.unflatten(0, (-1, 2)).flatten(1, 2)], dim=1)


class TriplaneAttention(nn.Module):
    """Joint attention across z^s, z^h and z^w, the only place where planes exchange information."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor) -> Tensor:
        """X [B C L] -> [B C L]."""
        attention = self.attention
        return x + attention.out(attention.attend(attention.qkv(attention.norm(x))))
