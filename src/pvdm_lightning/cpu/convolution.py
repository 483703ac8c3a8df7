"""The U-Net's 3 x 3 convolutions, by the fastest of three ways."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.cpu.linear import multiply_add
from pvdm_lightning.cpu.processor import in_float32_on_cpu
from pvdm_lightning.cpu.winograd import convolve
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.models.unet.plane_convolution import PlaneConv2d

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

    def forward(self, planes: Triplane) -> Triplane:  # type: ignore[override]
        """Planes [B C R Q] -> planes [B C' R Q]."""
        if planes.z_s.device.type == "cpu":
            positions = planes.z_s.shape[0] * planes.shape.num_tokens
            channels = min(self.in_channels, self.out_channels)
            many = positions >= WINOGRAD_MIN_POSITIONS and positions * channels >= WINOGRAD_MIN_SIZE
            if channels >= WINOGRAD_MIN_CHANNELS and many and in_float32_on_cpu(planes.z_s, self.weight):
                return self.with_winograd(planes)
            if positions <= PRODUCT_MAX_POSITIONS * self.in_channels:
                return self.as_product(planes)
        return super().forward(planes)

    def with_winograd(self, planes: Triplane) -> Triplane:
        """The convolution in fewer multiplications."""
        return Triplane(*convolve(list(planes), self.weight, self._bias))

    def as_product(self, planes: Triplane) -> Triplane:
        """The convolution as the product of its kernel [C' 9C] and the neighbourhoods of all positions [9C B*L]."""
        batch = planes.z_s.shape[0]
        patches = torch.cat([F.unfold(plane, kernel_size=3, padding=1) for plane in planes], dim=2)
        product = multiply_add(self.weight.flatten(1), patches.transpose(0, 1).flatten(1), self._bias[:, None])
        return Triplane.from_sequence(product.unflatten(1, (batch, -1)).transpose(0, 1), planes.shape)

    @property
    def _bias(self) -> Tensor:
        assert self.bias is not None
        return self.bias
