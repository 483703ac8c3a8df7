"""What a sampled video says of itself: how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pvdm_lightning.data.videos.writing import PNG_KEY


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
    text = _mp4(path) if path.suffix == ".mp4" else _npz(path) if path.suffix == ".npz" else _picture(path)
    try:
        found = json.loads(text)
    except ValueError:  # a comment of another program
        return None
    return found if isinstance(found, dict) else None


def _mp4(path: Path) -> str:
    import av

    with av.open(str(path)) as container:
        return container.metadata.get("comment", "")


def _npz(path: Path) -> str:
    with np.load(path, allow_pickle=False) as arrays:
        return str(arrays["metadata"]) if "metadata" in arrays else ""


def _picture(path: Path) -> str:
    with Image.open(path) as image:
        text = image.info.get("comment", image.info.get(PNG_KEY, ""))
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
