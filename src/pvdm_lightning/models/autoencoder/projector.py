"""Feature volume -> three latent planes: one small Transformer per axis reduces the axis to one element."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.autoencoder.layer_norm import LayerNorm
from pvdm_lightning.models.autoencoder.space_time_transformer import SelfAttention, start_at_zero
from pvdm_lightning.models.triplane import Triplane, TriplaneShape

LATENT_GAIN = 4.0


class ProjectionBlock(nn.Module):
    """Pre-norm attention and a GELU feed-forward, each with a residual around it."""

    def __init__(self, dim: int, heads: int, head_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(dim)
        self.attention = SelfAttention(dim, heads, head_dim)
        # Not from zero: the result is read at one position, which would see nothing of the rest of the axis.
        self.attention.to_out.reset_parameters()
        nn.init.zeros_(self.attention.to_out.bias)
        self.feed_forward_norm = LayerNorm(dim)
        self.to_hidden = nn.Linear(dim, mlp_dim)
        self.to_out = start_at_zero(nn.Linear(mlp_dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """X [B N D] -> [B N D]."""
        return self._feed_forward(x + self.attention(self.attention_norm(x)))

    def at_first(self, x: Tensor) -> Tensor:
        """The result at position 0 alone: x [B N D] -> [B 1 D]."""
        return self._feed_forward(x[:, :1] + self.attention.at_first(self.attention_norm(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self.to_out(F.gelu(self.to_hidden(self.feed_forward_norm(x))))


class AxisProjector(nn.Module):
    """Project one axis of length n away.

    A learned token is appended at the END of the axis and learned positions (n + 1) are added; the result is read at
    position 0, not at the token. So it is in the released weights, and it is kept for them.

    Args:
        length: n, length of the axis.
        dim: D, channels of the features.
        depth: Transformer layers.
        heads: Attention heads.
        head_dim: Channels of a head.
        mlp_dim: Hidden width of the feed-forward.
        latent_channels: C, channels of the plane.
    """

    def __init__(
        self, length: int, dim: int, depth: int, heads: int, head_dim: int, mlp_dim: int, latent_channels: int
    ) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, length + 1, dim))
        self.blocks = nn.ModuleList(ProjectionBlock(dim, heads, head_dim, mlp_dim) for _ in range(depth))
        self.to_latent = nn.Conv2d(dim, latent_channels, kernel_size=1)
        with torch.no_grad():
            # Features start small: without this the latents would fill a small part of [-1, 1], and stage two would
            # have to remove noise far below the schedule's last step. What all clips have in common carries nothing.
            self.to_latent.weight *= LATENT_GAIN
            nn.init.zeros_(self.to_latent.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Features [B R Q n D] with the axis to project last -> plane [B C R Q] in [-1, 1]."""
        batch, rows, columns = features.shape[:3]
        x = rearrange(features, "b r q n d -> (b r q) n d")
        x = torch.cat([x, self.token.expand(len(x), -1, -1)], dim=1) + self.positions
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        assert isinstance(last, ProjectionBlock)
        x = last.at_first(x)  # what is not read is not computed
        plane = rearrange(x[:, 0], "(b r q) d -> b d r q", b=batch, r=rows, q=columns)
        return torch.tanh(self.to_latent(plane))


class TriplaneProjector(nn.Module):
    """The three axis projectors of a clip: over time, height and width."""

    def __init__(
        self,
        shape: TriplaneShape,
        dim: int,
        depth: int,
        heads: int,
        head_dim: int,
        mlp_dim: int,
        latent_channels: int,
    ) -> None:
        super().__init__()

        def projector(length: int) -> AxisProjector:
            return AxisProjector(length, dim, depth, heads, head_dim, mlp_dim, latent_channels)

        self.over_time = projector(shape.frames)
        self.over_height = projector(shape.height)
        self.over_width = projector(shape.width)

    def forward(self, features: Tensor) -> Triplane:
        """Features [S B H' W' D] -> the latent planes, in [-1, 1]."""
        return Triplane(
            z_s=self.over_time(rearrange(features, "s b h w d -> b h w s d")),
            z_h=self.over_height(rearrange(features, "s b h w d -> b s w h d")),
            z_w=self.over_width(rearrange(features, "s b h w d -> b s h w d")),
        )
