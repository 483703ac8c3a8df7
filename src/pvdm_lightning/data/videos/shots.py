"""Shots of videos: the stretches between cuts, each a video by itself, so that no clip goes across a cut."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.videos.source import VideoSource, condition_of, conditions_of, file_of, fps_of, rates_of
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import read_json

FORMAT = 1
MOST = 2**28
"""Bytes of a list of shots: a million videos."""


class VideoShots(NamedTuple):
    """The shots of a video.

    Attributes:
        frames: How many frames the video has.
        shots: First and last frame of each shot, in order. Frames of a gradual transition are in none.
    """

    frames: int
    shots: Sequence[tuple[int, int]]


def write_shots(path: Path, shots: Mapping[str, VideoShots], found_by: str) -> None:
    """Write shots of videos, by their paths below the root of the set, as JSON; raises `OSError` if that fails."""
    head = json.dumps({"format": FORMAT, "found_by": found_by})
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps([v.frames, v.shots])}" for name, v in shots.items())
    with atomic_write(path) as partial:
        partial.write_text(f'{head[:-1]}, "videos": {{\n{lines}\n}}}}\n', encoding="ascii")


def read_shots(path: str | Path, argument: str) -> dict[str, VideoShots]:
    """What `write_shots` wrote.

    Raises:
        InvalidArgumentError: There is no such file, or it is none.
    """
    try:
        content = read_json(path, MOST)
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise ValueError("it is no list of shots, or of another version")
        return {str(name): _checked(entry) for name, entry in content["videos"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error, 100)
        remedy = "Give a file that `pvdm check-data --cuts FILE` wrote."
        raise InvalidArgumentError(argument, path, f"cannot be read ({reason})", remedy) from None


def _checked(entry: Any) -> VideoShots:
    frames, shots = entry
    edges = [frames, *(edge for first, last in shots for edge in (first, last))]
    if any(isinstance(edge, bool) or not isinstance(edge, int) for edge in edges):
        raise ValueError("its frames are no whole numbers")
    after = -1
    for first, last in shots:
        if not after < first <= last < frames:
            raise ValueError("its shots are not in order, or beyond the frames")
        after = last
    return VideoShots(frames, [(first, last) for first, last in shots])


class Shots:
    """A source of shots.

    Args:
        source: The videos.
        shots: Shots of each, by its path below the root, or by its name if it is no file.
        path: The file they came from.
        argument: The option that named it.

    Raises:
        InvalidArgumentError: Shots of a video are missing, or of another number of frames.
    """

    def __init__(
        self, source: VideoSource, shots: Mapping[str, VideoShots], path: object, argument: str = "DataModule.cuts"
    ) -> None:
        self.source = source
        self.class_names, self.conditions = getattr(source, "class_names", ()), conditions_of(source)
        key = getattr(source, "key", source.name)
        readable = np.flatnonzero(source.lengths > 0).tolist()
        missing = [key(index) for index in readable if key(index) not in shots]
        others = [
            key(index)
            for index in readable
            if key(index) in shots and shots[key(index)].frames != source.lengths[index]
        ]
        for names, what in ((missing, "does not have"), (others, "was made of other frames of")):
            if names:
                problem = f"{what} {len(names)} of the videos, such as {names[0]}"
                raise InvalidArgumentError(argument, path, problem, "Write it anew with `pvdm check-data --cuts FILE`.")
        rows = []
        for index in range(len(source.lengths)):
            own = shots[key(index)].shots if source.lengths[index] > 0 else [(0, -1)]  # a broken one stays in the list
            rows += [(index, first, last - first + 1) for first, last in own]
        self._videos, self._first, self.lengths = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        self.fps, self.rates = fps_of(source)[self._videos], rates_of(source)[self._videos]
        broken = np.flatnonzero(self.lengths == 0).tolist()
        self.problems = {row: source.problems.get(int(self._videos[row]), "has no frames") for row in broken}

    def summary(self) -> str:
        """How many shots there are, in a line."""
        return f"{int((self.lengths > 0).sum())} shots in {int((self.source.lengths > 0).sum())} videos"

    @property
    def labels(self) -> np.ndarray:
        return self.source.labels[self._videos]

    def name(self, index: int) -> str:
        video, first, frames = int(self._videos[index]), int(self._first[index]), int(self.lengths[index])
        name = self.source.name(video)
        return name if frames in (0, self.source.lengths[video]) else f"{name}, frames {first} to {first + frames - 1}"

    def key(self, index: int) -> str:
        """Path of the video below the root of the set."""
        video = int(self._videos[index])
        return str(getattr(self.source, "key", self.source.name)(video))

    def file(self, index: int) -> str:
        """The file that a shot lies in."""
        return file_of(self.source, int(self._videos[index]))

    def stamps(self) -> bytes:
        return self.source.stamps() + np.stack([self._videos, self._first, self.lengths]).tobytes()

    def frame_times(self, index: int) -> np.ndarray | None:
        """As `IndexedVideos.frame_times`."""
        times = getattr(self.source, "frame_times", lambda _: None)(int(self._videos[index]))
        if times is None or not len(times):
            return times
        own: np.ndarray = times[self._first[index] : self._first[index] + self.lengths[index]]
        return own - own[0] if len(own) > 1 else None

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        return self.source.read(int(self._videos[index]), self._own(index, frames), resolution)

    def condition(self, index: int, frames: Sequence[int], flip: bool) -> Mapping[str, Tensor]:
        return condition_of(self.source, int(self._videos[index]), self._own(index, frames), flip)

    def _own(self, index: int, frames: Sequence[int]) -> list[int]:
        first = int(self._first[index])
        return [first + frame for frame in frames]
