"""One 3 x 3 convolution shared by the three planes, in as few calls, or as one product, as is fastest."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.products import multiply_add
from pvdm_lightning.triplane import Triplane

PRODUCT_UP_TO = 0.25
STACKED_UP_TO = 4.0
"""Positions a channel up to which each form is the fastest, float32, forward and backward; found by measurement."""


def convolve_planes(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """`conv` (3 x 3, padding 1) on every plane [B C R Q] -> [B C' R Q].

    Deep in the U-Net planes are tiny and kernels large (1024 x 1024 x 9 for 8 x 8 positions). A CPU convolution spends
    its time there on rearranging the kernel, at each call. One call for all planes does so once; one matrix product
    reads the kernel where it lies, but gathers the neighbourhoods of all positions.
    """
    z_s = planes.z_s
    if z_s.device.type == "cpu":
        positions_a_channel = z_s.shape[0] * planes.shape.num_tokens / z_s.shape[1]
        if positions_a_channel <= PRODUCT_UP_TO:
            return as_product(conv, planes)
        if positions_a_channel <= STACKED_UP_TO and planes.shape.height == planes.shape.width:
            return stacked(conv, planes)
    return on_each_plane(conv, planes)


def as_product(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """The convolution as the product of its kernel [C' 9C] and the neighbourhoods of all positions [9C B*L]."""
    batch, shape = planes.z_s.shape[0], planes.shape
    patches = torch.cat([F.unfold(plane, kernel_size=3, padding=1) for plane in planes], dim=2)
    assert conv.bias is not None
    product = multiply_add(conv.weight.flatten(1), patches.transpose(0, 1).flatten(1), conv.bias[:, None])
    return Triplane.from_sequence(product.unflatten(1, (batch, -1)).transpose(0, 1), shape)


def stacked(conv: nn.Conv2d, planes: Triplane) -> Triplane:
    """One convolution of the planes below each other, a row of zeros between: what the padding of each would be."""
    rows, frames = planes.shape.height, planes.shape.frames
    gap = planes.z_s.new_zeros(*planes.z_s.shape[:2], 1, planes.shape.width)
    image = conv(torch.cat([planes.z_s, gap, planes.z_h, gap, planes.z_w], dim=2))
    z_s, _, z_h, _, z_w = image.split([rows, 1, frames, 1, frames], dim=2)
    return Triplane(z_s, z_h, z_w)


def on_each_plane(fn: Callable[[Tensor], Tensor], planes: Triplane) -> Triplane:
    """`fn` on every plane; z^h and z^w in one call where they have equal sizes."""
    if planes.z_h.shape != planes.z_w.shape:
        return planes.map(fn)
    z_h, z_w = fn(torch.cat([planes.z_h, planes.z_w])).chunk(2)
    return Triplane(fn(planes.z_s), z_h, z_w)
