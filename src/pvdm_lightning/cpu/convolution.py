"""The U-Net's 3 x 3 convolutions, by the fastest of three ways."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.cpu.linear import multiply_add
from pvdm_lightning.cpu.processor import in_float32_on_cpu
from pvdm_lightning.cpu.winograd import convolve
from pvdm_lightning.models.unet.plane_layers import PlaneConv2d

# Found by measurement, float32, forward and backward. Channels are the smaller of input and output channels.
WINOGRAD_MIN_CHANNELS = 128
WINOGRAD_MIN_POSITIONS = 256
WINOGRAD_MIN_SIZE = 2**17  # positions times channels
PRODUCT_MAX_POSITIONS = 0.25  # per input channel


class FastPlaneConv2d(PlaneConv2d):
    """Wide layers with many positions take fewer multiplications; deep layers are one matrix product.

    Deep in the U-Net planes are tiny and kernels large (1024 x 1024 x 9 for 8 x 8 positions). A CPU convolution spends
    its time there on rearranging the kernel, at each call. One product reads it as it is stored.
    """

    def forward(self, images: Sequence[Tensor]) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q] of a `RowLayout` -> images [B' C' R Q]."""
        if images[0].device.type == "cpu":
            positions = sum(image.numel() for image in images) // self.in_channels
            channels = min(self.in_channels, self.out_channels)
            many = positions >= WINOGRAD_MIN_POSITIONS and positions * channels >= WINOGRAD_MIN_SIZE
            if channels >= WINOGRAD_MIN_CHANNELS and many and in_float32_on_cpu(images[0], self.weight):
                return self.with_winograd(images)
            if positions <= PRODUCT_MAX_POSITIONS * self.in_channels:
                return self.as_product(images)
        return super().forward(images)

    def with_winograd(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The convolution in fewer multiplications."""
        return convolve(list(images), self.weight, self._bias)

    def as_product(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The convolution as the product of the neighbourhoods of all positions [N 9C] and its kernel [9C C']."""
        padded = [F.pad(image.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)) for image in images]
        # The kernel stays as it lies, [C' C 3 3]: it is the larger one.
        patches = [image.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3).flatten(0, 2) for image in padded]
        product = multiply_add(torch.cat(patches), self.weight.flatten(1).t(), self._bias)
        sizes = [(len(image), *image.shape[2:]) for image in images]
        parts = product.split([math.prod(size) for size in sizes])
        return [part.unflatten(0, size).permute(0, 3, 1, 2) for part, size in zip(parts, sizes, strict=True)]

    @property
    def _bias(self) -> Tensor:
        assert self.bias is not None
        return self.bias
