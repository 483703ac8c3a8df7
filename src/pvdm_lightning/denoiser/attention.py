"""Self-attention among the tokens of a feature sequence [B C L]: inside each plane, or across all three (PVDM, 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from pvdm_lightning.denoiser.plane_convolution import on_each_plane
from pvdm_lightning.products import attend
from pvdm_lightning.triplane import Triplane, TriplaneShape


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
        self.to_qkv = nn.Conv1d(channels, 3 * channels, kernel_size=1)
        self.to_out = nn.Conv1d(channels, channels, kernel_size=1)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)  # type: ignore[arg-type]

    def attend(self, qkv: Tensor) -> Tensor:
        """Queries, keys and values [B 3C ...] of tokens that see each other -> [B C ...]."""
        # The released weights order the output channels of to_qkv as (head, q k v, channel of the head).
        # The fused kernels want the channels of a head side by side; else the whole matrix would be stored.
        q, k, v = qkv.flatten(2).unflatten(1, (self.heads, 3, -1)).permute(2, 0, 1, 4, 3).contiguous()
        attended = attend(q, k, v)
        return attended.transpose(2, 3).flatten(1, 2).unflatten(2, qkv.shape[2:])


class PlaneSelfAttention(nn.Module):
    """Attention among the positions of one plane; the projections take all three planes at once."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor, shape: TriplaneShape) -> Tensor:
        """X [B C L] of planes `shape` -> [B C L]."""
        attention = self.attention
        normed = Triplane.from_sequence(x, shape).map(attention.norm).to_sequence()
        qkv = Triplane.from_sequence(attention.to_qkv(normed), shape)
        return x + attention.to_out(on_each_plane(attention.attend, qkv).to_sequence())


class TriplaneAttention(nn.Module):
    """Joint attention across z^s, z^h and z^w, which is where the planes learn of each other."""

    def __init__(self, channels: int, heads: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads, norm_groups)

    def forward(self, x: Tensor) -> Tensor:
        """X [B C L] -> [B C L]."""
        attention = self.attention
        return x + attention.to_out(attention.attend(attention.to_qkv(attention.norm(x))))
