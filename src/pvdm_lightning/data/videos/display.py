"""How the pictures of a video are meant to be shown: which stream, turned, mirrored, widened."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from pvdm_lightning.data.index.video_info import VideoInfo
from pvdm_lightning.data.videos import video_libraries

if TYPE_CHECKING:
    import av

WIDEST = 16.0
"""Beyond this, and below its inverse, a ratio of pixels is a mistake of the file and has no effect."""


def video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The stream that a player shows: the default one, never the picture of a cover; None if there is none.

    One that FFmpeg has a decoder for comes before others, as in a player.
    """
    disposition = video_libraries.pyav().stream.Disposition
    moving = [stream for stream in container.streams.video if not stream.disposition & disposition.attached_pic]
    moving = [stream for stream in moving if stream.codec_context is not None] or moving
    default = [stream for stream in moving if stream.disposition & disposition.default]
    return next(iter(default or moving), None)


def orientation(frame: av.VideoFrame) -> tuple[int, bool] | None:
    """(rotation, mirrored) of a frame, as in `VideoInfo`; None if it is turned by no multiple of 90 degrees."""
    sides: Any = frame.side_data
    matrix = next((bytes(data) for data in sides if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return 0, False
    # Row vectors: a point (x, y) of the picture is shown at (a x + c y, b x + d y).
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    largest = max(map(abs, (a, b, c, d)))
    if largest == 0:
        return 0, False
    for rotation in (0, 90, 180, 270):
        turn = math.radians(rotation)
        for mirrored in (False, True):
            cos, sin, side = round(math.cos(turn)), round(math.sin(turn)), -1 if mirrored else 1
            # Counter-clockwise on a screen, whose y points down, then left to right.
            wanted = (side * cos, -sin, side * sin, cos)
            if all(abs(value / largest - unit) < 0.01 for value, unit in zip((a, b, c, d), wanted)):
                return rotation, mirrored
    return None


def pixel_aspect(stream: av.VideoStream, frame: av.VideoFrame) -> float:
    """Width of a pixel by its height, 1 if unknown."""
    for ratio in (stream.sample_aspect_ratio, getattr(frame, "sample_aspect_ratio", None)):
        if ratio and 1 / WIDEST <= float(ratio) <= WIDEST:
            return float(np.float32(ratio))
    return 1.0


def shown_size(height: int, width: int, aspect: float, rotation: int) -> tuple[int, int]:
    """(height, width) of a decoded picture as it is shown."""
    width = max(1, round(width * aspect))
    return (width, height) if rotation % 180 else (height, width)


def to_rgb(frame: av.VideoFrame, info: VideoInfo) -> np.ndarray:
    """A decoded picture as uint8 RGB [H, W, 3], the way it is to be shown."""
    if info.aspect != 1:
        # First wide, then RGB, and bicubic, as FFmpeg's own filter does it.
        width = max(1, round(frame.width * info.aspect))
        frame = frame.reformat(width, frame.height, frame.format.name, interpolation="BICUBIC")
    picture = frame.to_ndarray(format="rgb24")
    if info.rotation:
        picture = np.rot90(picture, info.rotation // 90)
    if info.mirrored:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)
