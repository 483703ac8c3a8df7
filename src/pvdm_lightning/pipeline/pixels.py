"""uint8 at the borders, [-1, 1] inside."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

from pvdm_lightning.errors import check_videos

_TRUNCATES: ContextVar[bool] = ContextVar("truncates", default=False)


@contextlib.contextmanager
def truncated_pixels(truncates: bool = True) -> Iterator[None]:
    """Inside, `to_uint8` truncates, as the evaluations of several published models do."""
    token = _TRUNCATES.set(truncates)
    try:
        yield
    finally:
        _TRUNCATES.reset(token)


def to_signed_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1]; raises `InvalidArgumentError` for another dtype."""
    check_videos("pixels", pixels, "")
    return pixels.float() / 127.5 - 1


def to_uint8(pixels: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0..255, rounded."""
    values = (pixels.float().clamp(-1, 1) + 1) * 127.5
    return (values if _TRUNCATES.get() else values.round()).to(torch.uint8)
