"""Episodes: stretches of the frames of longer videos, each a video by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from pvdm_lightning.data.index.check import CheckedVideo
from pvdm_lightning.data.videos.source import IndexedVideos


class Episodes:
    """A source of episodes; no clip leaves its own.

    Args:
        videos: The files they are in.
        file: int [N], which of these each episode is in.
        first: int [N], number of its first frame there.
        frames: int [N], how many frames it has. One that the file ends within is as long as it is there.
        numbers: int [N], what messages call each.
        labels: Class of each; None if unknown.
        class_names: Names of the classes; none if there are no classes.
    """

    def __init__(
        self,
        videos: IndexedVideos,
        file: Sequence[int],
        first: Sequence[int],
        frames: Sequence[int],
        numbers: Sequence[int],
        labels: Sequence[int] | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        self.videos, self.class_names = videos, class_names
        self._file, self._first, self._frames, self._numbers = (
            np.asarray(column, dtype=np.int64) for column in (file, first, frames, numbers)
        )
        self.lengths = np.clip(videos.lengths[self._file] - self._first, 0, self._frames)
        self.labels = np.full(len(self._file), -1) if labels is None else np.asarray(labels, dtype=np.int64)
        self.fps = videos.fps[self._file]
        self.problems = {int(index): self._problem(int(index)) for index in np.flatnonzero(self.lengths == 0)}

    def _problem(self, index: int) -> str:
        """What is wrong with an episode; "" if nothing is."""
        file, wanted = int(self._file[index]), int(self._frames[index])
        if file in self.videos.problems:
            return self.videos.problems[file]
        if self.lengths[index] == wanted > 0:
            return ""
        first = self._first[index]
        return f"is frames {first} to {first + wanted} of a file that has {self.videos.lengths[file]}"

    def name(self, index: int) -> str:
        return f"{self.file(index)}, episode {self._numbers[index]}"

    def key(self, index: int) -> str:
        """The episode's name within the set, such as episode_000007."""
        return f"episode_{self._numbers[index]:06d}"

    def file(self, index: int) -> str:
        """The file that an episode is in."""
        return self.videos.file(int(self._file[index]))

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Check every episode; what is wrong with a file is wrong with each one in it."""
        files = self.videos.check(progress)
        return [self._checked(files[int(file)], index) for index, file in enumerate(self._file)]

    def _checked(self, file: CheckedVideo, index: int) -> CheckedVideo:
        own, frames = self._problem(index), int(self.lengths[index])
        status = "broken" if frames == 0 else "flawed" if own else file.status
        return replace(file, path=self.name(index), status=status, reason=own or file.reason, frames=frames)

    def stamps(self) -> bytes:
        return self.videos.stamps() + np.stack([self._file, self._first, self._frames]).tobytes()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        first = int(self._first[index])
        return self.videos.read(int(self._file[index]), [first + frame for frame in frames], resolution)
