"""Videos at another number of frames per second than their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import Tensor

from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.videos.source import VideoSource, condition_of, conditions_of, file_of, fps_of
from pvdm_lightning.errors import InvalidArgumentError

_TOLERANCE = 1e-3
"""Frames by which a time may be missed: rates such as 30000/1001 are no exact numbers."""
_SLOWER = 0.99
"""A video of less than this share of the rate has frames that come twice."""


class ResampledVideos:
    """A source whose videos have as many frames per second as asked for, all other things being as they were.

    Frame k is the one of the video's own that is nearest to k / fps seconds after its first; of two as near, the
    earlier. A video ends with the last k / fps that is not after its last frame. Nothing is interpolated: in a video of
    fewer frames per second, some come twice.

    A file of a constant rate is resampled by that rate; the time stamps of any other are read from it, see
    `IndexedVideos.frame_times`. One without time stamps counts by the rate that its container states, and one whose
    rate nobody knows, such as a folder of frames, is a broken video.

    Args:
        source: The videos.
        fps: Frames per second.
        argument: The option that `fps` came from.

    Attributes:
        fps: Frames per second of each video, float64 [N].
        rates: The same; frame numbers of the source count at these.

    Raises:
        InvalidArgumentError: The rate of none of the videos is known.
    """

    def __init__(self, source: VideoSource, fps: float, argument: str = "DataModule.fps") -> None:
        self.source, self.rate = source, float(fps)
        self.class_names = getattr(source, "class_names", ())
        self.conditions = conditions_of(source)
        self.key = getattr(source, "key", source.name)
        self._own = fps_of(source)
        readable = np.flatnonzero(source.lengths > 0)
        found = _times(source, readable)
        self._times = {index: times for index, times in found.items() if len(times)}
        self._without = len(found) - len(self._times)
        for index, times in self._times.items():
            self._own[index] = (len(times) - 1) / times[-1]
        self.unknown = [int(index) for index in readable if not self._own[index] > 0]
        if len(readable) and len(self.unknown) == len(readable):
            problem = f"the frames per second of none of the {len(readable)} videos are known"
            remedy = "Leave it out, and take every so many-th frame with DataModule.stride."
            raise InvalidArgumentError(argument, f"{fps:g}", problem, remedy)
        self.problems = {**source.problems, **dict.fromkeys(self.unknown, "has no known frame rate")}
        self.lengths = np.array([self._length(index) for index in range(len(source.lengths))], dtype=np.int64)
        self.fps = np.where(self.lengths > 0, self.rate, 0.0)
        self.rates = np.full(len(source.lengths), self.rate)

    def _length(self, index: int) -> int:
        frames = int(self.source.lengths[index])
        if frames == 0 or index in self.problems:
            return 0
        times = self._times.get(index)
        last = float(times[-1]) if times is not None else (frames - 1) / self._own[index]
        return int(np.floor(last * self.rate + _TOLERANCE)) + 1

    def own_frames(self, index: int, frames: Sequence[int]) -> list[int]:
        """Numbers in the video itself of some frames of a video."""
        wanted, times = np.asarray(frames, dtype=np.float64) / self.rate, self._times.get(index)
        if times is None:
            numbers = np.ceil(wanted * self._own[index] - 0.5 - _TOLERANCE)
        else:
            middles = (times[1:] + times[:-1]) / 2
            numbers = np.searchsorted(middles, wanted - _TOLERANCE / self.rate)
        return numbers.clip(0, self.source.lengths[index] - 1).astype(np.int64).tolist()

    def summary(self) -> str:
        """What was resampled from which rates, in a line."""
        readable = [index for index in np.flatnonzero(self.source.lengths > 0).tolist() if index not in self.problems]
        rates, counts = np.unique([round(float(self._own[i]), 2) for i in readable], return_counts=True)
        if len(rates) > 4:
            known = f"{len(readable)} videos of {rates[0]:g} to {rates[-1]:g}"
        else:
            known = ", ".join(f"{count} of {rate:g}" for rate, count in zip(rates, counts))
        line = f"videos at {self.rate:g} frames per second: {known}"
        slow = sum(self._own[index] < _SLOWER * self.rate for index in readable)
        for number, what in (
            (len(self._times), "by their time stamps, as their rates vary"),
            (self._without, "without time stamps, by the rate that the file states"),
            (slow, "have fewer and repeat frames"),
            (len(self.unknown), "have no known rate (skipped)"),
        ):
            line += f"; {number} {what}" if number else ""
        return line

    @property
    def labels(self) -> np.ndarray:
        return self.source.labels

    def name(self, index: int) -> str:
        return self.source.name(index)

    def file(self, index: int) -> str:
        """The file that a video lies in."""
        return file_of(self.source, index)

    def stamps(self) -> bytes:
        return self.source.stamps() + f"{self.rate} frames per second".encode()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        own = self.own_frames(index, frames)
        once = sorted(set(own))
        pictures = self.source.read(index, once, resolution)
        if len(once) == len(own):
            return pictures
        place = {frame: position for position, frame in enumerate(once)}
        return pictures[:, [place[frame] for frame in own]]

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> Mapping[str, Tensor]:
        return condition_of(self.source, index, self.own_frames(index, frames), flip)


def _times(source: VideoSource, readable: np.ndarray) -> dict[int, np.ndarray]:
    """Times of the frames of each video that has no constant rate; empty where there are no time stamps."""
    read = getattr(source, "frame_times", None)
    if read is None:
        return {}
    with ThreadPoolExecutor(max_workers=num_cores()) as pool:
        found = zip(readable.tolist(), pool.map(read, readable.tolist()))
        return {index: times for index, times in found if times is not None}
