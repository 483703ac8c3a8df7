"""Reading a video into a tensor, without a data set around it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.videos import decoding, frame_folder, probing
from pvdm_lightning.data.videos.video_info import DecodeError, Route


def read_video(
    path: str | Path, frames: Sequence[int] | None = None, resolution: tuple[int, int] | None = None
) -> Tensor:
    """Read a video file, or a folder of frames.

    Args:
        path: The file or folder.
        frames: Numbers of the frames to read, rising; None reads all.
        resolution: (height, width) to crop and resize to; None keeps the video's own.

    Returns:
        uint8 [3 T H W].

    Raises:
        ValueError: The video cannot be read.
    """
    path = Path(path)
    folder = path.is_dir()
    info = frame_folder.probe(path) if folder else probing.probe(path)
    if info.route == Route.BROKEN:
        raise ValueError(f"{path} cannot be read: {info.problem}")
    size = resolution or (info.height, info.width)
    read = frame_folder.read_frames if folder else decoding.read_frames
    try:
        pictures = read(
            path, info, range(info.frames) if frames is None else frames, lambda x: crop_and_resize(x, size)
        )
    except DecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return torch.stack(pictures, dim=1)
