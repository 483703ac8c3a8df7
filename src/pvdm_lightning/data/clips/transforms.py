"""Decoded frame -> the picture that is seen: cropped, resized, rounded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pvdm_lightning.data.clips.codecs import Codec
from pvdm_lightning.errors import InvalidArgumentError


@dataclass(frozen=True)
class FramePreparation:
    """How decoded frames become the pixels that are measured, on both sides alike.

    By default as in training. Pictures that have the resolution already are not resized.

    Args:
        crop: centre: the largest centred box of the aspect; none: the whole picture, stretched.
        filter: Filter of the resize; lanczos is Pillow's.
        antialias: Whether the filter is widened where pictures shrink; lanczos always is.
        rounding: round or truncate to uint8, or none for unquantised frames.
        codec: A lossy round trip of each clip after that: jpeg75 (Pillow's default quality, as two published protocols
            have it by accident), mp4 (H.264, CRF 5, 8 frames per second) or mp4_jpeg75 (one after the other).
    """

    crop: Literal["centre", "none"] = "centre"
    filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
    rounding: Literal["round", "truncate", "none"] = "round"
    codec: Codec = "none"

    def __post_init__(self) -> None:
        if self.filter == "lanczos" and not self.antialias:
            problem = "is not possible with FramePreparation.filter lanczos, which Pillow always widens"
            raise InvalidArgumentError("FramePreparation.antialias", False, problem, "Give bilinear or bicubic.")
        if self.codec != "none" and self.rounding == "none":
            problem = f"leaves floats, and FramePreparation.codec {self.codec} takes uint8"
            raise InvalidArgumentError("FramePreparation.rounding", "none", problem, "Give round or truncate.")

    @property
    def bytes_per_value(self) -> int:
        """Of a pixel's channel in memory."""
        return 4 if self.rounding == "none" else 1

    def check(self, resolution: tuple[int, int]) -> None:
        """Raise `InvalidArgumentError` if the codec cannot hold pictures of this (height, width)."""
        if self.codec.startswith("mp4") and (resolution[0] % 2 or resolution[1] % 2):
            problem = f"holds no pictures of {resolution[0]} x {resolution[1]}, as 4:2:0 needs even sides"
            raise InvalidArgumentError("FramePreparation.codec", self.codec, problem, "Give an even resolution.")


_DEFAULT = FramePreparation()
_NOW: ContextVar[FramePreparation] = ContextVar("preparation", default=_DEFAULT)


@contextlib.contextmanager
def prepared(preparation: FramePreparation) -> Iterator[None]:
    """Inside, frames of any video source are prepared in this way.

    A context instead of an argument, because it passes through `VideoSource.read`, which other packages implement.
    """
    token = _NOW.set(preparation)
    try:
        yield
    finally:
        _NOW.reset(token)


def centre_crop_box(height: int, width: int, resolution: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred box of the aspect of `resolution` inside a picture.

    Args:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        resolution: The wanted (height, width); only its aspect matters.

    Returns:
        (top, left, box height, box width) in pixels; at least 1 x 1.
    """
    wanted_height, wanted_width = resolution
    box_height = min(height, max(1, round(width * wanted_height / wanted_width)))
    box_width = min(width, max(1, round(height * wanted_width / wanted_height)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def crop_and_resize(frame: np.ndarray, resolution: tuple[int, int]) -> Tensor:
    """Bring a frame to a resolution: by default a centre crop to its aspect and an antialiased bilinear resize.

    Inside of `prepared`, as that says. The default stays in uint8 throughout: three times as fast as through float, and
    rounded just once.

    Args:
        frame: uint8 [H, W, 3].
        resolution: The wanted (height, width).

    Returns:
        uint8 [3, height, width]; float32 in 0..255 where a resize is not rounded.
    """
    how = _NOW.get()
    top, left, height, width = 0, 0, *frame.shape[:2]
    if how.crop == "centre":
        top, left, height, width = centre_crop_box(height, width, resolution)
    picture = torch.from_numpy(frame)[top : top + height, left : left + width].permute(2, 0, 1)
    if (height, width) == resolution:
        return picture.contiguous()
    if (how.filter, how.antialias, how.rounding) == ("bilinear", True, "round"):
        # One picture in channels-last order is what torch's vectorised uint8 kernel wants.
        resized = F.interpolate(picture[None], size=resolution, mode="bilinear", antialias=True, align_corners=False)
        return resized[0].contiguous()
    if how.filter == "lanczos":
        return _lanczos(picture, resolution, how)
    resized = F.interpolate(
        picture[None].float(), size=resolution, mode=how.filter, antialias=how.antialias, align_corners=False
    )
    return to_pixels(resized[0].contiguous())


def _lanczos(picture: Tensor, resolution: tuple[int, int], how: FramePreparation) -> Tensor:
    """Pillow's resize of uint8 [3, H, W]: in uint8 where it is rounded, as published protocols have it."""
    size = (resolution[1], resolution[0])
    if how.rounding == "round":
        image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
        return torch.from_numpy(np.array(image.resize(size, Image.Resampling.LANCZOS))).permute(2, 0, 1).contiguous()
    planes = [Image.fromarray(plane.numpy()).resize(size, Image.Resampling.LANCZOS) for plane in picture.float()]
    return to_pixels(torch.from_numpy(np.stack([np.array(plane) for plane in planes])))


def to_pixels(values: Tensor) -> Tensor:
    """Float values, 0 to 255 where a filter does not overshoot, as the preparation rounds them.

    uint8, or float32 in 0..255 where it does not round.
    """
    rounding = _NOW.get().rounding
    values = values.clamp(0, 255)
    if rounding == "none":
        return values
    return (values.round() if rounding == "round" else values).to(torch.uint8)
