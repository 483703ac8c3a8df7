"""Pre-norm divided space-time Transformer (TimeSformer) on a volume of patch features."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.autoencoder.layer_norm import LayerNorm
from pvdm_lightning.models.autoencoder.rotary import RotaryHeads, Rotation, axial_angles, temporal_angles
from pvdm_lightning.models.gradient_checkpointing import GradientCheckpointing, checkpointed


def start_at_zero(layer: nn.Linear) -> nn.Linear:
    """Zero the output layer of a residual branch, so that training starts from the identity.

    The whole autoencoder then starts as a linear map of patches and learns positions and colours at once; with the
    default weights the branches drown the patches, and the first thousands of steps go by at the mean colour.
    """
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SelfAttention(nn.Module):
    """Multi-head self-attention along one axis; q, k, v without bias, optional rotary positions.

    The attention matrix is never stored.
    """

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.to_out = start_at_zero(nn.Linear(heads * head_dim, dim))
        self.rotary = RotaryHeads(heads, head_dim)
        self.attend = ScaledDotProductAttention()

    def forward(self, x: Tensor, rotation: Rotation | None = None, axis: int = 1) -> Tensor:
        """X [B N D], or [N B D] with `axis` 0 -> likewise; N is attended along. Tables for the heads [... H D_head]."""
        qkv = self.to_qkv(x)
        if rotation is None:
            q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).unbind(2)
        else:
            q, k, v = self.rotary(qkv, rotation)
        return self._attend(q, k, v, axis)

    def at_first(self, x: Tensor) -> Tensor:
        """The result at position 0 alone, without positions: x [B N D] -> [B 1 D]."""
        to_q, to_kv = self.to_qkv.weight.split([self.to_qkv.out_features // 3, 2 * self.to_qkv.out_features // 3])
        q = F.linear(x[:, :1], to_q).unflatten(-1, (self.heads, -1))
        k, v = F.linear(x, to_kv).unflatten(-1, (2, self.heads, -1)).unbind(2)
        return self._attend(q, k, v)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, axis: int = 1) -> Tensor:
        """Queries, keys and values [B N H D_head] or [N B H D_head] -> [B N D] or [N B D]."""
        q, k, v = (part.movedim(axis, 2) for part in (q, k, v))
        attended = self.attend(q, k, v).transpose(1, 2)  # [B N H D_head]
        if axis == 0 and attended.transpose(0, 1).is_contiguous():  # in the order of the queries, as cuDNN gives it
            return self.to_out(attended.transpose(0, 1).flatten(2))
        # Linear in the order that it lies in, or it would be copied.
        return self.to_out(attended.flatten(2)).movedim(1, axis)


class GEGLU(nn.Module):
    """(a, g) side by side -> a * gelu(g), each of `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.unflatten(-1, (2, self.width)).unbind(-2)
        return value * F.gelu(gate)


class GatedFeedForward(nn.Module):
    """GEGLU feed-forward: (a, g) = W x, then W' (a * gelu(g)); hidden width `expansion` * dim."""

    def __init__(self, dim: int, expansion: int = 4) -> None:
        super().__init__()
        self.to_hidden = nn.Linear(dim, 2 * expansion * dim)
        self.activation = GEGLU(expansion * dim)
        self.to_out = start_at_zero(nn.Linear(expansion * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Rows [N D] -> [N D]."""
        return self.to_out(self.activation(self.to_hidden(x)))


class SpaceTimeBlock(nn.Module):
    """Attention over time, attention over space, feed-forward; a LayerNorm before and a residual around each.

    Frames come first: then both attentions see one axis of sequences and one of positions without a copy.
    """

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.time_norm = LayerNorm(dim)
        self.time_attention = SelfAttention(dim, heads, head_dim)
        self.space_norm = LayerNorm(dim)
        self.space_attention = SelfAttention(dim, heads, head_dim)
        self.feed_forward_norm = LayerNorm(dim)
        self.feed_forward = GatedFeedForward(dim)

    def forward(self, x: Tensor, time: Rotation, space: Rotation) -> Tensor:
        """X [S B N D], N = H'W' patches of a frame -> [S B N D]."""
        across_time = self.time_norm(x).flatten(1, 2)
        x = x + self.time_attention(across_time, time, axis=0).view_as(x)
        across_space = self.space_norm(x).flatten(0, 1)
        x = x + self.space_attention(across_space, space).view_as(x)
        # Rows of all clips: a batch of one is no other shape, for which a compiler would compile again.
        rows = self.feed_forward_norm(x).flatten(0, 2)
        return x + self.feed_forward(rows).view_as(x)


class SpaceTimeTransformer(nn.Module):
    """A stack of SpaceTimeBlocks; no final norm.

    Args:
        dim: D, channels.
        depth: Number of blocks.
        heads: Attention heads.
        head_dim: Channels of a head, a multiple of 4 (row and column angles, in pairs).
        gradient_checkpointing: What is computed again in the backward pass instead of kept.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        head_dim: int,
        gradient_checkpointing: GradientCheckpointing = False,
    ) -> None:
        super().__init__()
        if head_dim % 4:
            raise ValueError(f"head_dim {head_dim} is not a multiple of 4, which axial rotary positions need")
        self.head_dim = head_dim
        self.gradient_checkpointing = gradient_checkpointing
        self.blocks = nn.ModuleList(SpaceTimeBlock(dim, heads, head_dim) for _ in range(depth))

    def forward(self, volume: Tensor) -> Tensor:
        """Features [S B H' W' D] -> [S B H' W' D]."""
        frames, _, height, width = volume.shape[:4]
        # Computed, not stored: a table is cheap, and so any size works with one set of weights.
        with torch.autocast(volume.device.type, enabled=False):
            time = Rotation.of(temporal_angles(frames, self.head_dim, volume.device)[:, None, None])
            space = Rotation.of(axial_angles(height, width, self.head_dim, volume.device)[:, None])
        kind = self.gradient_checkpointing if self.training and torch.is_grad_enabled() else False
        x = volume.flatten(2, 3)
        for block in self.blocks:
            x = checkpointed(block, x, time, space, kind=kind)
        return x.view_as(volume)
