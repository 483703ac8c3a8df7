"""The layers that see each plane as an image: one convolution and one norm, shared by the three planes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.triplane import RowLayout

Modulation = tuple[Tensor, Tensor]
"""Scale and shift of the channels of each sample, [B C] each."""


class PlaneConv2d(nn.Conv2d):
    """A 3 x 3 convolution with zero padding, the same for all three planes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, images: Sequence[Tensor]) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q] of a `RowLayout` -> images [B' C' R Q]."""
        return [super(PlaneConv2d, self).forward(image) for image in images]


class PlaneNorm(nn.GroupNorm):
    """Group norm of each image alone, then scale and shift, then SiLU.

    Args:
        groups: Groups of the norm.
        channels: C, a multiple of `groups`.
        silu: Whether SiLU follows.
    """

    def __init__(self, groups: int, channels: int, silu: bool = True) -> None:
        super().__init__(groups, channels)
        self.silu = silu

    def forward(self, images: Sequence[Tensor], modulation: Modulation | None = None) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q], B' a multiple of B -> silu((1 + scale) * norm(image) + shift), likewise."""
        normed = [F.group_norm(image, self.num_groups, self.weight, self.bias, self.eps) for image in images]
        if modulation is not None:
            scale, shift = 1 + modulation[0][:, :, None, None], modulation[1][:, :, None, None]
            # An image may hold two planes of each sample, one after the other.
            planes = [x.unflatten(0, (-1, len(scale))) for x in normed]
            normed = [torch.addcmul(shift, x, scale).flatten(0, 1) for x in planes]
        return [F.silu(x) for x in normed] if self.silu else normed

    def images_of(self, rows: Tensor, layout: RowLayout, join: bool = True) -> list[Tensor]:
        """As `forward` of the images of rows [B*L C]."""
        return self(layout.images(rows, join))

    def rows(self, rows: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """As `forward` on rows [N C], in which samples of `sizes`, (samples, positions), lie one after another."""
        parts = rows.split([samples * positions for samples, positions in sizes])
        images = [part.unflatten(0, size).mT.unsqueeze(3) for part, size in zip(parts, sizes, strict=True)]
        normed = [image.squeeze(3).mT.flatten(0, 1) for image in self(images)]
        return normed[0] if len(normed) == 1 else torch.cat(normed)
