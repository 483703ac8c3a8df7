"""What a sampled video says of itself: how it was made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pvdm_lightning.data.index.video_info import DecodeError, one_line
from pvdm_lightning.data.output.writing import PNG_KEY
from pvdm_lightning.data.videos import video_libraries
from pvdm_lightning.data.videos.decoding import open_container
from pvdm_lightning.data.videos.frame_folder import IMAGE_ERRORS, open_picture
from pvdm_lightning.data.videos.npz import read_npz
from pvdm_lightning.foreign_files import parse_json

MOST = 2**20
"""Bytes of a text that is taken for metadata."""


def read_metadata(path: str | Path) -> dict[str, Any] | None:
    """The metadata that `write_video` kept in a file; None if it has none.

    Args:
        path: A .mp4, .gif, .png or .npz file, or a folder of frames.

    Raises:
        OSError: The file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        path = min(path.glob("*.png"), default=path / "frame_00000.png")
    read = {".mp4": _mp4, ".npz": _npz}.get(path.suffix.lower(), _picture)
    errors: tuple[type[Exception], ...] = (*IMAGE_ERRORS, DecodeError)
    if read is _mp4:
        errors += video_libraries.file_errors()
    try:
        text = read(path)
    except errors as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OSError(f"{os.fsdecode(path)} cannot be read: {one_line(error)}") from error
    try:
        found = parse_json(text) if len(text) <= MOST else None
    except ValueError:  # a comment of another program
        return None
    return found if isinstance(found, dict) else None


def _mp4(path: Path) -> str:
    with open_container(path) as container:
        return container.metadata.get("comment", "")


def _npz(path: Path) -> str:
    return str(read_npz(path, ["metadata"], most=4 * MOST).get("metadata", ""))


def _picture(path: Path) -> str:
    with open_picture(path) as image:
        text = image.info.get("comment", image.info.get(PNG_KEY, ""))
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
