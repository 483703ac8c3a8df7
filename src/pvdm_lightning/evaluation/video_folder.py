"""A folder of videos of any kind: files, folders of frames, .npy arrays, mixed and nested as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from pvdm_lightning.data.videos import frame_folder, probing
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.build_index import load_or_build
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos, VideoSource
from pvdm_lightning.data.videos.video_tree import find_arrays, find_frame_folders, find_videos
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoFolder:
    """The videos of a folder.

    Attributes:
        root: The folder.
        argument: The option that named it.
        source: Its videos, broken ones included.
        sizes: (height, width) of the videos that can be read, each once, sorted.
        notes: Notes for the report, such as skipped videos.
    """

    root: Path
    argument: str
    source: VideoSource
    sizes: Sequence[tuple[int, int]]
    notes: Sequence[str]

    @classmethod
    def open(cls, root: str, argument: str) -> VideoFolder:
        """Find and look at the videos below a folder.

        A video that is there in several formats, as `pvdm predict` writes them, counts once: as .npy before frames
        before a file. Pictures in a folder of videos are thumbnails or contact sheets, and count for nothing. Broken
        videos are named in the log.

        Raises:
            InvalidArgumentError: There is no such folder, or no video in it that can be read.
        """
        path = Path(root)
        if not path.is_dir():
            raise InvalidArgumentError(argument, root, "there is no such folder", "Give a folder of videos.")
        arrays, folders, files = find_arrays(path), find_frame_folders(path), find_videos(path)
        beside = {Path(name).parent.as_posix() for name in (*arrays, *files)}
        stray = [folder for folder in folders if folder in beside]
        folders = [folder for folder in folders if folder not in beside]
        kept: dict[str, tuple[int, str]] = {}
        for kind, names in enumerate((arrays, folders, files)):
            for name in names:
                # A folder that cannot be read is among the files as well.
                kept.setdefault(name if kind == 1 else Path(name).with_suffix("").as_posix(), (kind, name))
        found = len(arrays) + len(folders) + len(files)
        if not found:
            problem = "there are no video files, folders of pictures or .npy videos in it"
            raise InvalidArgumentError(argument, root, problem, "Give a folder of videos.")
        of_kind = [[name for kind, name in kept.values() if kind == wanted] for wanted in range(3)]
        sources: list[VideoSource] = [ArrayVideos(path, of_kind[0])] if of_kind[0] else []
        sizes = set(sources[0].sizes) if sources else set()  # type: ignore[attr-defined]
        for names, probe in ((of_kind[1], frame_folder.probe), (of_kind[2], probing.probe)):
            if names:
                indexed = IndexedVideos(load_or_build(path, names, probe))
                sizes |= {(int(line["height"]), int(line["width"])) for line in indexed.index.lines}
                sources.append(indexed)
        source = ConcatVideos(sources)
        for index, problem in source.problems.items():
            logger.warning("%s cannot be read and is skipped: %s", source.name(index), problem)
        if len(source.problems) == len(source.lengths):
            first = next(iter(source.problems))
            problem = f"none of its {len(source.lengths)} videos can be read ({source.problems[first]})"
            raise InvalidArgumentError(argument, root, problem, "Give a folder of videos.")
        notes, side = [], argument.rpartition(".")[2]
        if stray:
            notes.append(f"{side}: pictures beside videos, such as thumbnails, are no videos.")
        if source.problems:
            broken = some(source.name(index) for index in source.problems)
            notes.append(f"{side}: {len(source.problems)} broken videos are skipped: {broken}.")
        if found > len(kept):
            notes.append(f"{side}: {found - len(kept)} copies of videos in other formats are not counted again.")
        return cls(path, argument, source, sorted(sizes - {(0, 0)}), notes)

    def too_short(self, span: int) -> list[str]:
        """Names of the videos that can be read, but have fewer frames than `span`."""
        lengths = self.source.lengths
        return [Path(self.source.name(int(index))).name for index in np.flatnonzero((lengths > 0) & (lengths < span))]


class FirstFrames:
    """A source whose videos end after so many frames: a random clip of that length is then their first frames.

    Args:
        source: The videos.
        frames: How many; shorter videos stay as they are.
    """

    def __init__(self, source: VideoSource, frames: int) -> None:
        self.source, self.labels, self.problems = source, source.labels, source.problems
        self.lengths = np.minimum(source.lengths, frames)

    def name(self, index: int) -> str:
        """As the source's."""
        return self.source.name(index)

    def stamps(self) -> bytes:
        """As the source's."""
        return self.source.stamps()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        """As the source's."""
        return self.source.read(index, frames, resolution)


def some(names: Iterable[str]) -> str:
    """Up to three file names, and how many others there are."""
    names = [Path(name).name for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
