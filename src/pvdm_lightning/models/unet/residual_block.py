"""The residual block of the U-Net, its resampling of odd sides, and the timestep embedding."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.plane_layers import PlaneConv2d, PlaneNorm


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
        self.in_norm = PlaneNorm(norm_groups, in_channels)
        self.in_conv = PlaneConv2d(in_channels, out_channels)
        self.to_scale_shift = nn.Linear(time_channels, 2 * out_channels)
        self.out_norm = PlaneNorm(norm_groups, out_channels)
        self.out_conv = PlaneConv2d(out_channels, out_channels)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)  # type: ignore[arg-type]
        self.skip = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, time: Tensor, layout: RowLayout, out_layout: RowLayout) -> Tensor:
        """Rows x [B*L C] -> rows [B*L' C'].

        Norms are of each plane alone, as in one network applied to three images.

        Args:
            x: Features.
            time: SiLU of the timestep embedding, [B T].
            layout: Layout of x.
            out_layout: Layout of the result; another where the block resamples.
        """
        join = out_layout.joins
        h = self.in_norm.images_of(x, layout, join)
        if self.resample is not None:
            h = _resampled(h, self.resample, out_layout)
            x = out_layout.rows(_resampled(layout.images(x, join), self.resample, out_layout))
        h = self.in_conv(h)
        h = self.out_norm(h, self.to_scale_shift(time).chunk(2, dim=1))
        return out_layout.add_images(self.skip(x), self.out_conv(h))


def _resampled(images: list[Tensor], resample: Literal["down", "up"], out_layout: RowLayout) -> list[Tensor]:
    if resample == "down":
        return [downsample(image) for image in images]
    return [upsample(image, size) for image, size in zip(images, out_layout.shape.planes)]
