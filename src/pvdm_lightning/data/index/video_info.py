"""What has to be known of a video before any window of it can be read exactly: one line of the index."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

MOST_PIXELS = 2**26
"""Of a picture: one of 8192 x 8192 takes 200 MB. Headers can claim more than any memory holds."""


def check_pixels(height: int, width: int) -> None:
    """Raise `ValueError` if a picture is too large to be read."""
    if height * width > MOST_PIXELS:
        raise ValueError(f"is {width} x {height} pixels, and at most {MOST_PIXELS:,} are read")


class Route(IntEnum):
    """How the frames of a video are reached; the numbers are stored in the index."""

    BROKEN = 0  # not at all
    DECORD = 1  # decord's random access, compared with sequential decoding on this very file
    SEEK = 2  # PyAV, from the key frame before the window
    SCAN = 3  # PyAV, from the first frame
    IMAGES = 4  # a folder of pictures
    DRAWN = 5  # computed, no file at all


@dataclass(frozen=True)
class VideoInfo:
    """One line of the index.

    Args:
        frames: How many frames really decode (containers' own counts are often wrong).
        height: Height of the picture as shown, that is after rotation, in pixels.
        width: As `height`.
        fps: Average frames a second, by time stamps where these are regular; 0 if unknown.
        codec: FFmpeg's name of it; "" if unknown.
        rotation: Degrees counter-clockwise by which decoded pictures have to be turned: 0, 90, 180 or 270.
        route: How frames are reached.
        first_pts: Time stamp of frame 0, in the stream's time base.
        pts_step: Mean difference of two frames' time stamps: frame i lies within half a step of
            ``first_pts + i * pts_step``. 0 where the time stamps are irregular, repeated or missing.
        problem: Why the video is broken, or what is wrong with one that can still be used; "" if nothing is.
        mirrored: Whether decoded pictures are to be mirrored left to right after they are turned.
        aspect: Width of a pixel by its height: decoded pictures are to be widened by it first.
    """

    frames: int = 0
    height: int = 0
    width: int = 0
    fps: float = 0.0
    codec: str = ""
    rotation: int = 0
    route: Route = Route.BROKEN
    first_pts: int = 0
    pts_step: float = 0.0
    problem: str = ""
    mirrored: bool = False
    aspect: float = 1.0


class DecodeError(Exception):
    """A video gave no frames although its index line promised them; the message is one line without the path."""


def one_line(error: BaseException) -> str:
    """The text of an exception as one line of at most 160 characters."""
    text = getattr(error, "strerror", None) or str(error)  # without the path, which is named anyway
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def stamp_of(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds; (-1, -1) if the file cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
