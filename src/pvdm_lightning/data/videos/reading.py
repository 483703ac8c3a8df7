"""Reading a video, or some of its frames, into a tensor."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.videos import decoding, frame_folder, probing
from pvdm_lightning.data.videos.video_info import DecodeError, Route, VideoInfo


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
    info = frame_folder.probe(path) if path.is_dir() else probing.probe(path)
    if info.route == Route.BROKEN:
        raise ValueError(f"{path} cannot be read: {info.problem}")
    try:
        return read_clip(
            path, info, range(info.frames) if frames is None else frames, resolution or (info.height, info.width)
        )
    except DecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_clip(path: Path, info: VideoInfo, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
    """Read frames of a video that was probed, cropped and resized: uint8 [3 S height width].

    Raises:
        DecodeError: They cannot be read.
    """
    read = frame_folder.read_frames if info.route == Route.IMAGES else decoding.read_frames
    return torch.stack(read(path, info, frames, lambda frame: crop_and_resize(frame, resolution)), dim=1)
