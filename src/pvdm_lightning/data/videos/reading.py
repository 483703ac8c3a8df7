"""Reading a video, or some of its frames, into a tensor."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.video_info import DecodeError, Route, VideoInfo
from pvdm_lightning.data.videos import decoding, frame_folder
from pvdm_lightning.data.videos.file_span import Place
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.memory import check_memory


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
    for argument, value in (("frames", frames), ("resolution", resolution)):
        _check_counts(argument, value)
    path = Path(path)
    try:
        info = probe_video(path)
    except DecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    wanted = range(info.frames) if frames is None else frames
    if not len(wanted) or wanted[-1] >= info.frames or any(a >= b for a, b in zip(wanted, wanted[1:])):
        problem = f"are not rising numbers of the {info.frames} frames of {path}"
        raise InvalidArgumentError("read_video.frames", _briefly(wanted), problem, "Give numbers from 0 on.")
    size = resolution or (info.height, info.width)
    check_memory("read_video.resolution", f"{size[0]} x {size[1]}", 3 * len(wanted) * size[0] * size[1], "the video")
    try:
        return read_clip(path, info, wanted, size)
    except DecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def probe_video(path: Path) -> VideoInfo:
    """What has to be known of a video file, or a folder of frames, to read it.

    Raises:
        DecodeError: It cannot be read.
    """
    info = frame_folder.probe(path) if path.is_dir() else probing.probe(path)
    if info.route == Route.BROKEN:
        raise DecodeError(info.problem)
    return info


def _check_counts(argument: str, value: Sequence[int] | None) -> None:
    """Raise `InvalidArgumentError` unless these are whole numbers."""
    least = 1 if argument == "resolution" else 0
    if value is not None and not all(isinstance(number, Integral) and number >= least for number in value):
        problem, remedy = "are not whole numbers", f"Give whole numbers of {least} or more."
        raise InvalidArgumentError(f"read_video.{argument}", _briefly(value), problem, remedy)


def _briefly(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers[:4]) + (", ..." if len(numbers) > 4 else "")


def read_clip(path: Place, info: VideoInfo, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
    """Read frames of a video that was probed, cropped and resized: uint8 [3 S height width].

    Raises:
        DecodeError: They cannot be read.
    """
    if info.route == Route.IMAGES and isinstance(path, Path):
        pictures = frame_folder.read_frames(path, info, frames, lambda frame: crop_and_resize(frame, resolution))
    else:
        pictures = decoding.read_frames(path, info, frames, lambda frame: crop_and_resize(frame, resolution))
    return torch.stack(pictures, dim=1)
