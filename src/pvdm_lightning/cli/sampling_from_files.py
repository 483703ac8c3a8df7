"""The sampling options of `pvdm predict`: those of `Sampling`, and files whose frames the videos hold or go on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import crop_and_resize
from pvdm_lightning.data.index.video_info import DecodeError, one_line
from pvdm_lightning.data.videos.array_videos import open_array
from pvdm_lightning.data.videos.contexts import read_context
from pvdm_lightning.data.videos.frame_folder import IMAGE_ERRORS, read_image
from pvdm_lightning.data.videos.reading import probe_video, read_clip
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.given import Given
from pvdm_lightning.pipeline.known_frames import FrameMask

IMAGE, VIDEO, KNOWN = "Sampling.from_image", "Sampling.from_video", "Sampling.known_frames"


@dataclass
class SamplingFromFiles(Sampling):
    """Options of sampling, and the files that it starts from.

    Args:
        from_image: Pictures that are frames of the video: a.png is its first frame, a.png,b.png are the first and the
            last frame of its first clip. Of a model that takes known frames.
        from_video: A video to go on from: a file, a folder of frames, or a .npy file. Videos hold what follows its last
            frames, or with known_frames the frames themselves, too.
        known_frames: Which frames of the first clip are those of from_image or from_video, in their order: first:K,
            last:K, ends:K, every:K, frame:K or all; every:2 doubles the frame rate of a video. The model fills in the
            others.
        context: A .npy or .safetensors file with vectors that the videos are conditioned on, [N E] or [videos N E], the
            videos taking them in turn.
    """

    from_image: list[str] | None = None
    from_video: str | None = None
    known_frames: str | None = None
    context: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.from_image is not None and self.from_video is not None:
            remedy = f"Leave {IMAGE} or {VIDEO} out."
            raise InvalidArgumentError(VIDEO, self.from_video, f"{IMAGE} is given as well", remedy)
        if self.known_frames is not None:
            FrameMask.parse(self.known_frames, KNOWN)
            if not self.files:
                problem, remedy = "there are no frames to be known", f"Give {IMAGE} or {VIDEO}."
                raise InvalidArgumentError(KNOWN, self.known_frames, problem, remedy)
        elif self.from_image is not None and len(self.from_image) not in (1, 2):
            problem = f"are {len(self.from_image)} pictures, and only one or two have a place of their own"
            remedy = f"Give {KNOWN} as well, such as every:4."
            raise InvalidArgumentError(IMAGE, ",".join(self.from_image), problem, remedy)

    @property
    def files(self) -> list[str]:
        """All files that are given."""
        return self.from_image or ([] if self.from_video is None else [self.from_video])

    def record(self) -> dict[str, Any]:
        """What options shape videos, for their metadata: files by their base names, and only if there are some."""
        # How many are drawn, how many at once, and how kernels are started changes no video.
        options = {key: value for key, value in vars(self).items() if key not in _NOT_RECORDED}
        if self.from_image is not None:
            options["from_image"] = [Path(name).name for name in self.from_image]
        for name in ("from_video", "context"):
            if getattr(self, name) is not None:
                options[name] = Path(getattr(self, name)).name
        return {key: value for key, value in options.items() if value is not None or key not in _OF_FILES}

    def given(self, denoiser: Denoiser, clip_shape: tuple[int, int, int], stride: int = 1) -> Given:
        """Read the files.

        Args:
            denoiser: The network.
            clip_shape: (frames, height, width) of a clip.
            stride: Source frames from one frame of a clip to the next, in a video to go on from.

        Raises:
            InvalidArgumentError: A file cannot be read or has too few frames, or the model takes no known frames.
        """
        return self._frames(denoiser, clip_shape, stride)._replace(context=self._context(denoiser))

    def _context(self, denoiser: Denoiser) -> Tensor | None:
        """The vectors of each video [N M E]."""
        if self.context is None:
            return None
        context, channels = read_context(self.context), denoiser.context_channels
        if context.shape[2] != channels:
            takes = f"those of {channels}" if channels else "no context"
            problem = f"has vectors of {context.shape[2]} channels, and the model takes {takes}"
            remedy = "Give such vectors." if channels else "Leave it out, or train one with Denoiser.context_channels."
            raise InvalidArgumentError("Sampling.context", self.context, problem, remedy)
        return context[torch.arange(self.num_videos) % len(context)]

    def _frames(self, denoiser: Denoiser, clip_shape: tuple[int, int, int], stride: int) -> Given:
        if not self.files:
            return Given()
        if self.from_video is not None and self.known_frames is None:
            needed = self.overlap_of(denoiser, clip_shape[0]) or clip_shape[0]
            return Given(previous=_last_frames(self.from_video, needed, stride, clip_shape))
        name, value = (VIDEO, self.from_video) if self.from_image is None else (IMAGE, ",".join(self.from_image))
        if "known" not in denoiser.conditions:
            problem, remedy = "the model was trained without known frames", "Denoiser.known_frames true"
            raise InvalidArgumentError(name, value, problem, f"Give a model that was trained with {remedy}.")
        usual = "ends:1" if len(self.files) == 2 else "first:1"
        mask = FrameMask.parse(self.known_frames or usual, KNOWN).mask(clip_shape[0], KNOWN)
        places, count = mask.nonzero()[:, 0], int(mask.sum())
        if self.from_image is not None:
            if count != len(self.from_image):
                what = f"is {count} of the {clip_shape[0]} frames of a clip"
                problem = f"{what}, and {IMAGE} has {len(self.from_image)}"
                raise InvalidArgumentError(KNOWN, self.known_frames or usual, problem, "Give as many of each.")
            frames = torch.stack([_picture(path, clip_shape[1:]) for path in self.from_image], dim=1)
        else:
            assert self.from_video is not None
            if count == 0:
                raise InvalidArgumentError(KNOWN, self.known_frames, "is no frame", f"Leave {VIDEO} out as well.")
            frames = _first_frames(self.from_video, count, self.known_frames or usual, clip_shape)
        known = torch.zeros(1, 3, *clip_shape, dtype=torch.uint8)
        known[0, :, places] = frames
        return Given(known=known, mask=mask[None])


_NOT_RECORDED = ("num_videos", "batch_size", "cuda_graph")
_OF_FILES = ("from_image", "from_video", "known_frames", "context")


def _first_frames(path: str, needed: int, known_frames: str, clip_shape: tuple[int, int, int]) -> Tensor:
    """The first frames of a video, uint8 [3 T H W]."""

    def first(length: int) -> Sequence[int]:
        if length < needed:
            raise _too_short(path, length, f"{known_frames} of a clip of {clip_shape[0]} frames is {needed}")
        return range(needed)

    return _read(path, first, clip_shape[1:])


def _last_frames(path: str, needed: int, stride: int, clip_shape: tuple[int, int, int]) -> Tensor:
    """The last frames of a video at the end of a clip, uint8 [1 3 S H W]; before them the first one is repeated."""

    def last(length: int) -> Sequence[int]:
        span = (needed - 1) * stride + 1
        if length < span:
            every = f" (every {stride}th of its last {span})" if stride > 1 else ""
            raise _too_short(path, length, f"{needed}{every} are needed to go on from it")
        return range(length - span, length, stride)

    frames = _read(path, last, clip_shape[1:])
    before = frames[:, :1].expand(-1, clip_shape[0] - needed, -1, -1)
    return torch.cat([before, frames], dim=1)[None]


def _read(path: str, choose: Callable[[int], Sequence[int]], resolution: tuple[int, int]) -> Tensor:
    """Frames of a video by their numbers, which follow from its length, uint8 [3 T H W], as data sets read them."""
    try:
        if Path(path).suffix.lower() == ".npy" and not Path(path).is_dir():
            array = open_array(Path(path))
            chosen = [array[number].copy() for number in choose(len(array))]
            return torch.stack([crop_and_resize(frame, resolution) for frame in chosen], dim=1)
        info = probe_video(Path(path))
        return read_clip(Path(path), info, choose(info.frames), resolution)
    except DecodeError as error:
        remedy = "Give a video file, a folder of frames, or a .npy file."
        raise InvalidArgumentError(VIDEO, path, f"cannot be read ({error})", remedy) from error


def _too_short(path: str, length: int, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(VIDEO, path, f"has {length} frames, and {problem}", "Give a longer video.")


def _picture(path: str, resolution: tuple[int, int]) -> Tensor:
    """A picture, uint8 [3 H W], as data sets read frames."""
    try:
        return crop_and_resize(read_image(Path(path)), resolution)
    except IMAGE_ERRORS as error:
        remedy = f"Give pictures, such as .png or .jpg; {VIDEO} takes videos."
        raise InvalidArgumentError(IMAGE, path, f"cannot be read ({one_line(error)})", remedy) from error
