"""Pre-norm divided space-time Transformer (TimeSformer) on a volume of patch features."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.autoencoder.rotary import axial_angles, rotate, temporal_angles

Rotation = tuple[Tensor, Tensor]


def start_at_zero(layer: nn.Linear) -> nn.Linear:
    """Zero the output layer of a residual branch, so that training starts from the identity.

    The whole autoencoder then starts as a linear map of patches and learns positions and colours at once; with the
    default weights the branches drown the patches, and the first thousands of steps go by at the mean colour.
    """
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SelfAttention(nn.Module):
    """Multi-head self-attention over the second last axis; q, k, v without bias, optional rotary positions.

    The attention matrix is never stored.
    """

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.to_out = start_at_zero(nn.Linear(heads * head_dim, dim))
        self.attend = ScaledDotProductAttention()

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """X [B N D] -> [B N D]; `rotation` is (sin, cos), each [N 1 D_head]."""
        qk, v = self.to_qkv(x).unflatten(-1, (3 * self.heads, -1)).split([2 * self.heads, self.heads], dim=2)
        if rotation is not None:
            # Angles stay in float32; the products follow the dtype of autocast.
            # Both at once and as they lie: passes over heads that are strided apart are slower.
            qk = rotate(qk.float(), *rotation).to(v.dtype)
        q, k = qk.chunk(2, dim=2)
        return self._attend(q, k, v)

    def at_first(self, x: Tensor) -> Tensor:
        """The result at position 0 alone, without positions: x [B N D] -> [B 1 D]."""
        to_q, to_kv = self.to_qkv.weight.split([self.to_qkv.out_features // 3, 2 * self.to_qkv.out_features // 3])
        q = F.linear(x[:, :1], to_q).unflatten(-1, (self.heads, -1))
        k, v = F.linear(x, to_kv).unflatten(-1, (2, self.heads, -1)).unbind(2)
        return self._attend(q, k, v)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values [B N H D_head] -> [B N D]."""
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        return self.to_out(self.attend(q, k, v).transpose(1, 2).flatten(2))


class GatedFeedForward(nn.Module):
    """GEGLU feed-forward: (a, g) = W x, then W' (a * gelu(g)); hidden width `expansion` * dim."""

    def __init__(self, dim: int, expansion: int = 4) -> None:
        super().__init__()
        self.to_hidden = nn.Linear(dim, 2 * expansion * dim)
        self.to_out = start_at_zero(nn.Linear(expansion * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.to_hidden(x).chunk(2, dim=-1)
        return self.to_out(value * F.gelu(gate))


class SpaceTimeBlock(nn.Module):
    """Attention over time, attention over space, feed-forward; a LayerNorm before and a residual around each."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.time_norm = nn.LayerNorm(dim)
        self.time_attention = SelfAttention(dim, heads, head_dim)
        self.space_norm = nn.LayerNorm(dim)
        self.space_attention = SelfAttention(dim, heads, head_dim)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = GatedFeedForward(dim)

    def forward(self, x: Tensor, time: Rotation, space: Rotation) -> Tensor:
        """X [B S N D], N = H'W' patches of a frame -> [B S N D]."""
        batch, frames = x.shape[:2]
        across_time = rearrange(self.time_norm(x), "b s n d -> (b n) s d")
        x = x + rearrange(self.time_attention(across_time, time), "(b n) s d -> b s n d", b=batch)
        across_space = rearrange(self.space_norm(x), "b s n d -> (b s) n d")
        x = x + rearrange(self.space_attention(across_space, space), "(b s) n d -> b s n d", s=frames)
        return x + self.feed_forward(self.feed_forward_norm(x))


class SpaceTimeTransformer(nn.Module):
    """A stack of SpaceTimeBlocks; no final norm.

    Args:
        dim: D, channels.
        depth: Number of blocks.
        heads: Attention heads.
        head_dim: Channels of a head, a multiple of 4 (row and column angles, in pairs).
        gradient_checkpointing: Recompute each block's activations in the backward pass instead of keeping them.
    """

    def __init__(self, dim: int, depth: int, heads: int, head_dim: int, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        if head_dim % 4:
            raise ValueError(f"head_dim {head_dim} is not a multiple of 4, which axial rotary positions need")
        self.head_dim = head_dim
        self.gradient_checkpointing = gradient_checkpointing
        self.blocks = nn.ModuleList(SpaceTimeBlock(dim, heads, head_dim) for _ in range(depth))

    def forward(self, volume: Tensor) -> Tensor:
        """Features [B D S H' W'] -> [B D S H' W']."""
        frames, height, width = volume.shape[2:]
        # Computed, not stored: a table is cheap, and so any size works with one set of weights.
        with torch.autocast(volume.device.type, enabled=False):
            time_angles = temporal_angles(frames, self.head_dim, volume.device)[:, None]
            space_angles = axial_angles(height, width, self.head_dim, volume.device)[:, None]
            time = (time_angles.sin(), time_angles.cos())
            space = (space_angles.sin(), space_angles.cos())
        x = rearrange(volume, "b d s h w -> b s (h w) d")
        for block in self.blocks:
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x, time, space, use_reentrant=False)
            else:
                x = block(x, time, space)
        return rearrange(x, "b s (h w) d -> b d s h w", h=height)
