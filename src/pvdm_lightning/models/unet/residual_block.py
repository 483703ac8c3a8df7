"""The residual block of the U-Net, its resampling of odd sides, and the timestep embedding."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.triplane import Triplane, TriplaneShape
from pvdm_lightning.models.unet.plane_convolution import PlaneConv2d


def timestep_embedding(t: Tensor, channels: int, period: float = 10000.0) -> Tensor:
    """Sinusoids of the diffusion time: t [B] -> [B channels], cosines first, then sines."""
    half = channels // 2
    frequencies = torch.exp(-math.log(period) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def downsample(x: Tensor) -> Tensor:
    """Mean of 2 x 2 cells; an odd side is rounded up, as if its last row or column were repeated."""
    return F.avg_pool2d(x, kernel_size=2, ceil_mode=True)


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat every cell 2 x 2 and cut to `size`, which undoes the rounding of `downsample`."""
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]


def upsample_planes(planes: Triplane, out_shape: TriplaneShape) -> Triplane:
    """`upsample` every plane to the sizes of `out_shape`."""
    return Triplane(*(upsample(plane, size) for plane, size in zip(planes, out_shape.planes, strict=True)))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with group norm; the timestep scales and shifts the second norm.

    Args:
        in_channels: Channels of the input, a multiple of `norm_groups`.
        out_channels: Channels of the output, likewise.
        time_channels: Channels of the timestep embedding.
        resample: Halve or double both sides on the way.
        norm_groups: Groups of the norms.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int,
        resample: Literal["down", "up"] | None = None,
        norm_groups: int = 32,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.in_norm = nn.GroupNorm(norm_groups, in_channels)
        self.in_conv = PlaneConv2d(in_channels, out_channels)
        self.to_scale_shift = nn.Linear(time_channels, 2 * out_channels)
        self.out_norm = nn.GroupNorm(norm_groups, out_channels)
        self.out_conv = PlaneConv2d(out_channels, out_channels)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)  # type: ignore[arg-type]
        self.skip = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, time: Tensor, shape: TriplaneShape, out_shape: TriplaneShape | None = None) -> Tensor:
        """Features x [B C L] of planes `shape`, time [B T] -> [B C' L'] of planes `out_shape`.

        Norms are of each plane alone, as in one network applied to three images.

        Args:
            x: Features.
            time: Timestep embedding.
            shape: Sizes of the planes of x.
            out_shape: Sizes to double to; only where the block doubles.
        """
        planes = Triplane.from_sequence(x, shape)
        h = planes.map(lambda plane: F.silu(self.in_norm(plane)))
        if self.resample == "down":
            h, x = h.map(downsample), planes.map(downsample).to_sequence()
        elif self.resample == "up":
            assert out_shape is not None
            h, x = upsample_planes(h, out_shape), upsample_planes(planes, out_shape).to_sequence()
        scale, shift = self.to_scale_shift(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.in_conv(h)
        h = h.map(lambda plane: F.silu(torch.addcmul(shift, self.out_norm(plane), 1 + scale)))
        h = self.out_conv(h)
        return self.skip(x.transpose(1, 2)).transpose(1, 2) + h.to_sequence()
