"""A video that lies on disk as a folder of pictures."""

import contextlib
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pvdm_lightning.data.index.video_info import DecodeError, Route, VideoInfo, check_pixels, one_line, stamp_of
from pvdm_lightning.foreign_files import open_regular

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Of pictures that are read, whatever their names say: for EPS, Pillow would start another program."""

# What Pillow's readers raise on damaged files, and on pictures too large to be one.
IMAGE_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, LookupError, ArithmeticError, SyntaxError, EOFError)
IMAGE_ERRORS += (struct.error, Image.DecompressionBombError, MemoryError)

_BITS, _PHOTOMETRIC = 258, 262  # tags of a TIFF
Picture = TypeVar("Picture")


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A picture as Pillow opens it: a regular file, in one of `FORMATS`."""
    with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
        yield image


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts frame9 before frame10, and names without numbers as usual."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def is_image(name: str) -> bool:
    """Whether a file name is a picture's; macOS's ``._name`` companions are not."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def image_names(folder: Path) -> list[str]:
    """The pictures of a folder in the order of their numbers."""
    return sorted((entry.name for entry in os.scandir(folder) if is_image(entry.name)), key=natural_key)


def stamps(folder: Path) -> bytes:
    """Sizes and modification times of all frames; empty if the folder cannot be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if is_image(entry.name))
    except OSError:
        return b""
    return np.array([stamp_of(folder / name) for name in names], dtype=np.int64).tobytes()


def probe(folder: Path) -> VideoInfo:
    """Count a folder's pictures and look at the first one's header.

    Never raises on account of the folder. A damaged picture further on shows when it is read (or in a thorough check).
    """
    try:
        names = image_names(folder)
        if not names:
            return VideoInfo(problem="has no pictures")
        with open_picture(folder / names[0]) as image:
            _check_single(image)
            width, height = _size_as_shown(image)
            check_pixels(height, width)
            codec = (image.format or "").lower()
    except IMAGE_ERRORS as error:
        return VideoInfo(problem=one_line(error))
    return VideoInfo(frames=len(names), height=height, width=width, codec=codec, route=Route.IMAGES)


def _size_as_shown(image: Image.Image) -> tuple[int, int]:
    """(width, height) of a picture once it is turned as its EXIF says; the picture is not decoded."""
    orientation = None
    if image.format != "TIFF":  # whose reader has turned the size already
        with contextlib.suppress(*IMAGE_ERRORS):
            # Not the own method of PNG files, which decodes the picture to look behind it.
            orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    width, height = image.size
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def read_frames(
    folder: Path, info: VideoInfo, indices: Sequence[int], transform: Callable[[np.ndarray], Picture]
) -> list[Picture]:
    """Read pictures of a folder; arguments, result and error as `decoding.read_frames`.

    Those of one call must be of one size. It need not be that of `info`, as a picture that is written again leaves the
    folder's time of change, and so the index, as they were.
    """
    try:
        names = image_names(folder)
    except OSError as error:
        raise DecodeError(one_line(error)) from error
    if len(names) != info.frames:
        raise DecodeError(f"has {len(names)} pictures, {info.frames} when it was indexed")
    pictures = []
    first: tuple[int, ...] | None = None
    for index in indices:
        try:
            picture = read_image(folder / names[index])
        except IMAGE_ERRORS as error:
            raise DecodeError(f"{names[index]}: {one_line(error)}") from error
        first = first or picture.shape
        if picture.shape != first:
            raise DecodeError(
                f"{names[index]} is {picture.shape[1]}x{picture.shape[0]}, {names[indices[0]]} is {first[1]}x{first[0]}"
            )
        pictures.append(transform(picture))
    return pictures


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 RGB [H, W, 3], turned as its EXIF says.

    Transparency is left out. Up to 16 bits are scaled to 8, and floats from [0, 1].

    Raises:
        ValueError: The file holds several pictures, or values whose range is not known: 32-bit whole numbers, or floats
            outside of [0, 1].
        OSError: It cannot be read, as others of `IMAGE_ERRORS`.
    """
    with open_picture(path) as image:
        check_pixels(image.height, image.width)
        _check_single(image)
        image.load()
        # Damage to the EXIF alone spoils no picture.
        with contextlib.suppress(*IMAGE_ERRORS):
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I") or image.mode == "F":  # Pillow would clip them at 255
            grey = (_in_unit_range(image) * 255).round().astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.array(image.convert("RGB"))


def _check_single(image: Image.Image) -> None:
    """Raise `ValueError` if the file of a picture holds several."""
    if _is_animated(image):
        raise ValueError("holds several pictures, and a folder of frames has one a file")


def _is_animated(image: Image.Image) -> bool:
    # Not MPO, in which telephones put a map of depths beside the picture.
    if image.format not in ("GIF", "PNG", "TIFF", "WEBP") or not getattr(image, "is_animated", False):
        return False
    if image.format != "TIFF":
        return True
    size = image.size
    image.seek(1)
    is_page = image.size == size  # others are thumbnails
    image.seek(0)
    return is_page


def _in_unit_range(image: Image.Image) -> np.ndarray:
    """A grey picture of more than 8 bits as float32 [H, W] in [0, 1]."""
    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        if not 0 <= low <= high <= 1:  # NaN, too
            raise ValueError(f"has float values from {low:.4g} to {high:.4g}, and only [0, 1] is read")
        return values
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(_BITS, (16,))[0])
    if bits > 16 or low < 0 or high >= 2**bits:
        raise ValueError(f"has whole numbers from {low:.0f} to {high:.0f}, and at most 16 bits without sign are read")
    values /= 2**bits - 1
    is_negative = tags.get(_PHOTOMETRIC) == 0  # 0 is white, which Pillow heeds with 8 bits alone
    return 1 - values if is_negative else values
