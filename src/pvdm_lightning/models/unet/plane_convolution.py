"""One 3 x 3 convolution shared by the three planes, by the fastest of three routes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.products import in_float32_on_cpu, multiply_add
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.models.unet.winograd import convolve

# Found by measurement on a CPU, float32, forward and backward. Channels are the fewer of those before and after.
WINOGRAD_CHANNELS = 128
"""Channels below which fewer multiplications do not pay."""
WINOGRAD_POSITIONS = 256
"""Positions below which they do not."""
WINOGRAD_FROM = 2**17
"""Positions times channels below which they do not."""
PRODUCT_UP_TO = 0.25
"""Positions a channel of the input up to which one product is faster than a convolution."""


def convolve_planes(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """`conv` (3 x 3, padding 1) on every plane [B C R Q] -> [B C' R Q].

    On a GPU two calls. On a CPU wide layers with many positions take fewer multiplications. Deep in the U-Net planes
    are tiny and kernels large (1024 x 1024 x 9 for 8 x 8 positions); a CPU convolution spends its time there on
    rearranging the kernel, at each call. One product reads it where it lies, and gathers the neighbourhoods.
    """
    if planes.z_s.device.type == "cpu":
        positions = planes.z_s.shape[0] * planes.shape.num_tokens
        channels = min(conv.in_channels, conv.out_channels)
        many = positions >= WINOGRAD_POSITIONS and positions * channels >= WINOGRAD_FROM
        if channels >= WINOGRAD_CHANNELS and many and in_float32_on_cpu(planes.z_s, conv.weight):
            return by_winograd(conv, planes)
        if positions <= PRODUCT_UP_TO * conv.in_channels:
            return as_product(conv, planes)
    return on_each_plane(conv, planes)


def by_winograd(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """The convolution in fewer multiplications."""
    assert conv.bias is not None
    return Triplane(*convolve(list(planes), conv.weight, conv.bias))


def as_product(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """The convolution as the product of its kernel [C' 9C] and the neighbourhoods of all positions [9C B*L]."""
    batch, shape = planes.z_s.shape[0], planes.shape
    patches = torch.cat([F.unfold(plane, kernel_size=3, padding=1) for plane in planes], dim=2)
    assert conv.bias is not None
    product = multiply_add(conv.weight.flatten(1), patches.transpose(0, 1).flatten(1), conv.bias[:, None])
    return Triplane.from_sequence(product.unflatten(1, (batch, -1)).transpose(0, 1), shape)


def on_each_plane(fn: Callable[[Tensor], Tensor], planes: Triplane) -> Triplane:
    """`fn` on every plane; z^h and z^w in one call where they have equal sizes."""
    if planes.z_h.shape != planes.z_w.shape:
        return planes.map(fn)
    z_h, z_w = fn(torch.cat([planes.z_h, planes.z_w])).chunk(2)
    return Triplane(fn(planes.z_s), z_h, z_w)
