"""uint8 at the borders, [-1, 1] inside."""

import torch
from torch import Tensor

from pvdm_lightning.errors import check_videos


def to_signed_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1]; raises `InvalidArgumentError` for another dtype."""
    check_videos("pixels", pixels, "")
    return pixels.float() / 127.5 - 1


def to_uint8(pixels: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0..255, rounded."""
    return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
