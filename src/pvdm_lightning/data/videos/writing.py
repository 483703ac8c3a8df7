"""Writing videos uint8 [3 T H W] as mp4, gif, PNG frames or npy."""

import io
import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write

PNG_KEY = "Comment"
"""Of the text in a frame."""


def gif_bytes(video: Tensor, fps: float, metadata: str = "") -> bytes:
    """An endless GIF of a video uint8 [3 T H W], with a text as its comment."""
    frames = [Image.fromarray(frame) for frame in _frames(video)]
    buffer = io.BytesIO()
    # A GIF counts in hundredths of a second, and viewers slow down what is shorter than two.
    duration = max(20, round(1000 / fps))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0, comment=metadata)
    return buffer.getvalue()


def write_gif(video: Tensor, path: Path, fps: float, metadata: str = "") -> None:
    """Write a GIF."""
    path.write_bytes(gif_bytes(video, fps, metadata))


def write_mp4(video: Tensor, path: Path, fps: float, metadata: str = "") -> None:
    """Write H.264 in 4:2:0; an odd side, which that cannot hold, loses its last row or column."""
    import av  # where no mp4 is written it need not be installed

    frames = _frames(video)[:, : video.shape[2] // 2 * 2 or None, : video.shape[3] // 2 * 2 or None]
    # Not the bare name, of which FFmpeg takes what is before a colon for a protocol.
    with av.open(f"file:{path}", "w", format="mp4") as container:
        if metadata:
            container.metadata["comment"] = metadata
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "17"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            # Converted here: frames that the stream converts are encoded differently from run to run (PyAV 18.1).
            container.mux(stream.encode(rgb.reformat(format="yuv420p")))
        container.mux(stream.encode())


def write_npy(video: Tensor, path: Path, fps: float, metadata: str = "") -> None:
    """Write uint8 [T H W 3]; the format has no place for metadata."""
    with path.open("wb") as file:
        np.save(file, _frames(video))


def write_png(video: Tensor, path: Path, fps: float, metadata: str = "") -> None:
    """Write a folder of numbered frames."""
    path.mkdir()
    about = PngInfo()
    if metadata:
        about.add_text(PNG_KEY, metadata)
    for number, frame in enumerate(_frames(video)):
        Image.fromarray(frame).save(path / f"frame_{number:05d}.png", pnginfo=about)


WRITERS: dict[str, tuple[str, Callable[[Tensor, Path, float, str], None]]] = {
    "mp4": (".mp4", write_mp4),
    "gif": (".gif", write_gif),
    "png": ("", write_png),
    "npy": (".npy", write_npy),
}
"""Format -> (suffix of the file or folder, writer)."""


def write_video(
    video: Tensor,
    path: str | Path,
    fps: float = 25,
    metadata: Mapping[str, Any] | None = None,
    replace_frames: bool = False,
) -> Path:
    """Write a video; a reader, or a killed process, never sees half of it.

    Args:
        video: uint8 [3 T H W].
        path: Ends with .mp4, .gif or .npy; without a suffix it is a folder of numbered PNG frames.
        fps: Frames per second.
        metadata: Plain values to keep inside of the file; `read_metadata` reads them.
        replace_frames: Whether a folder that holds nothing but frames is replaced; no other folder ever is.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is none of these, or the video is not uint8 [3 T H W].
        OSError: It cannot be written, or a folder is in its place.
    """
    path = Path(path)
    writers = dict(WRITERS.values())
    if path.suffix not in writers:
        raise ValueError(f"{path.name}: videos are written as {', '.join(suffix for suffix in writers if suffix)}")
    if video.dtype != torch.uint8 or video.dim() != 4 or video.shape[0] != 3:
        raise ValueError(f"a video is uint8 [3 T H W], got {video.dtype} {list(video.shape)}")
    with atomic_write(path, replace_frames) as partial:
        writers[path.suffix](video, partial, fps, "" if metadata is None else json.dumps(metadata, sort_keys=True))
    return path


def _frames(video: Tensor) -> np.ndarray:
    return video.permute(1, 2, 3, 0).contiguous().cpu().numpy()
