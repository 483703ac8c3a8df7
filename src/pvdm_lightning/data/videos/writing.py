"""Writing videos uint8 [3 T H W] as mp4, gif, PNG frames or npy."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write


def gif_bytes(video: Tensor, fps: float) -> bytes:
    """An endless GIF of a video uint8 [3 T H W]."""
    frames = [Image.fromarray(frame) for frame in _frames(video)]
    buffer = io.BytesIO()
    # A GIF counts in hundredths of a second, and viewers slow down what is shorter than two.
    duration = max(20, round(1000 / fps))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return buffer.getvalue()


def write_gif(video: Tensor, path: Path, fps: float) -> None:
    """Write a GIF."""
    path.write_bytes(gif_bytes(video, fps))


def write_mp4(video: Tensor, path: Path, fps: float) -> None:
    """Write H.264 in 4:2:0; an odd side, which that cannot hold, loses its last row or column."""
    import av  # where no mp4 is written it need not be installed

    frames = _frames(video)[:, : video.shape[2] // 2 * 2 or None, : video.shape[3] // 2 * 2 or None]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "17"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def write_npy(video: Tensor, path: Path, fps: float) -> None:
    """Write uint8 [T H W 3]."""
    with path.open("wb") as file:
        np.save(file, _frames(video))


def write_png(video: Tensor, path: Path, fps: float) -> None:
    """Write a folder of numbered frames."""
    path.mkdir()
    for number, frame in enumerate(_frames(video)):
        Image.fromarray(frame).save(path / f"frame_{number:05d}.png")


WRITERS: dict[str, tuple[str, Callable[[Tensor, Path, float], None]]] = {
    "mp4": (".mp4", write_mp4),
    "gif": (".gif", write_gif),
    "png": ("", write_png),
    "npy": (".npy", write_npy),
}
"""Format -> (suffix of the file or folder, writer)."""


def write_video(video: Tensor, path: str | Path, fps: float = 25) -> Path:
    """Write a video; a reader, or a killed process, never sees half of it.

    Args:
        video: uint8 [3 T H W].
        path: Ends with .mp4, .gif or .npy; without a suffix it is a folder of numbered PNG frames.
        fps: Frames per second.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is none of these, or the video is not uint8 [3 T H W].
    """
    path = Path(path)
    writers = dict(WRITERS.values())
    if path.suffix not in writers:
        raise ValueError(f"{path.name}: videos are written as {', '.join(suffix for suffix in writers if suffix)}")
    if video.dtype != torch.uint8 or video.dim() != 4 or video.shape[0] != 3:
        raise ValueError(f"a video is uint8 [3 T H W], got {video.dtype} {list(video.shape)}")
    with atomic_write(path) as partial:
        writers[path.suffix](video, partial, fps)
    return path


def _frames(video: Tensor) -> np.ndarray:
    return video.permute(1, 2, 3, 0).contiguous().cpu().numpy()
