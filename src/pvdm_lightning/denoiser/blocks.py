"""What the U-Net does to one plane: residual block, attention inside the plane, timestep embedding."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.denoiser.attention import TokenAttention


def timestep_embedding(t: Tensor, channels: int, period: float = 10000.0) -> Tensor:
    """Sinusoids of the diffusion time: t [B] -> [B channels], cosines first, then sines."""
    half = channels // 2
    frequencies = torch.exp(-math.log(period) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def halve(x: Tensor) -> Tensor:
    """Mean of 2 x 2 cells; an odd side is rounded up, as if its last row or column were repeated."""
    return F.avg_pool2d(x, kernel_size=2, ceil_mode=True)


def double(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat every cell 2 x 2 and cut to `size`, which undoes the rounding of `halve`."""
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with group norm; the timestep scales and shifts the second norm.

    Args:
        in_channels: Channels of the input, a multiple of 32.
        out_channels: Channels of the output, a multiple of 32.
        time_channels: Channels of the timestep embedding.
        resample: Halve or double both sides on the way.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int,
        resample: Literal["down", "up"] | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.in_norm = nn.GroupNorm(32, in_channels)
        self.in_conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.to_scale_shift = nn.Linear(time_channels, 2 * out_channels)
        self.out_norm = nn.GroupNorm(32, out_channels)
        self.out_conv = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)  # type: ignore[arg-type]
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """X [B C R Q], time [B T] -> [B C' R' Q']; `size` (R', Q') is needed only where the block doubles."""
        h = F.silu(self.in_norm(x))
        if self.resample == "down":
            h, x = halve(h), halve(x)
        elif self.resample == "up":
            assert size is not None
            h, x = double(h, size), double(x, size)
        scale, shift = self.to_scale_shift(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.out_norm(self.in_conv(h)) * (1 + scale) + shift
        return self.skip(x) + self.out_conv(F.silu(h))


class PlaneSelfAttention(nn.Module):
    """Attention among the positions of one plane."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = TokenAttention(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        """X [B C R Q] -> [B C R Q]."""
        return self.attention(x.flatten(2)).unflatten(2, x.shape[2:])
