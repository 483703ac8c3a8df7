"""A folder of videos of any kind: files, folders of frames, .npy arrays, mixed and nested as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.video_tree import find_arrays, find_frame_folders, find_videos
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.array_videos import ArrayVideos, no_video
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos, VideoSource
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
    def open(cls, root: str, argument: str, other: str | None = None) -> VideoFolder:
        """Find and look at the videos below a folder.

        A video that is there in several formats, as `pvdm predict` writes them, counts once: as .npy before frames
        before a file, the first that can be read. Pictures in a folder of videos are thumbnails or contact sheets, and
        arrays of other shapes are features, poses or labels: they count for nothing. Broken videos are named in the
        log.

        Args:
            root: The folder.
            argument: The option that named it.
            other: Folder of the other side, whose videos are left out if it lies inside of this one.

        Raises:
            InvalidArgumentError: There is no such folder, or no video in it that can be read.
        """
        path = Path(root)
        if not path.is_dir():
            raise InvalidArgumentError(argument, root, "there is no such folder", "Give a folder of videos.")
        notes, side = [], argument.rpartition(".")[2]
        arrays, folders, files = find_arrays(path), find_frame_folders(path), find_videos(path)
        if other is not None:
            (arrays, folders, files), count = _outside(path, Path(other), (arrays, folders, files))
            if count:
                notes.append(f"{side}: the other folder, {other}, lies inside of it; its {count} videos are left out.")
        no_videos = {name: reason for name in arrays if (reason := no_video(path / name))}
        arrays = [name for name in arrays if name not in no_videos]
        beside = {Path(name).parent.as_posix() for name in (*arrays, *files)}
        stray = [folder for folder in folders if folder in beside]
        folders = [folder for folder in folders if folder not in beside]
        if not arrays and not folders and not files:
            problem = "there are no video files, folders of pictures or .npy videos in it"
            if no_videos:
                problem += f"; {_first(no_videos)}"
            raise InvalidArgumentError(argument, root, problem, "Give a folder of videos.")
        source, sizes, copies = _sources(path, arrays, folders, files)
        for index, problem in source.problems.items():
            logger.warning("%s cannot be read and is skipped: %s", source.name(index), problem)
        if len(source.problems) == len(source.lengths):
            first = next(iter(source.problems))
            problem = f"none of its {len(source.lengths)} videos can be read ({source.problems[first]})"
            raise InvalidArgumentError(argument, root, problem, "Give a folder of videos.")
        if no_videos:
            notes.append(f"{side}: {len(no_videos)} .npy files are no videos, such as {_first(no_videos)}.")
        if stray:
            notes.append(f"{side}: pictures beside videos, such as thumbnails, are no videos.")
        if source.problems:
            broken = some(source.name(index) for index in source.problems)
            notes.append(f"{side}: {len(source.problems)} broken videos are skipped: {broken}.")
        if copies:
            notes.append(f"{side}: {copies} copies of videos in other formats are not counted again.")
        return cls(path, argument, source, sorted(sizes - {(0, 0)}), notes)

    def paths(self) -> list[Path]:
        """Of the videos that can be read."""
        return [Path(self.source.name(int(index))) for index in np.flatnonzero(self.source.lengths > 0)]

    def too_short(self, span: int) -> list[str]:
        """Names of the videos that can be read, but have fewer frames than `span`."""
        lengths = self.source.lengths
        return [Path(self.source.name(int(index))).name for index in np.flatnonzero((lengths > 0) & (lengths < span))]


def _outside(
    root: Path, other: Path, names: tuple[list[str], list[str], list[str]]
) -> tuple[tuple[list[str], list[str], list[str]], int]:
    """The names that do not lead into another folder, which may be linked to, and how many videos do."""
    inner = other.resolve()
    if root.resolve().is_relative_to(inner):
        return names, 0  # the other one leaves these out; a folder against itself is a check
    kept = tuple([name for name in some if not _folder(root / name).resolve().is_relative_to(inner)] for some in names)
    gone = {Path(name).with_suffix("") for some, left in zip(names, kept) for name in set(some) - set(left)}
    return kept, len(gone)  # type: ignore[return-value]


def _folder(video: Path) -> Path:
    """Where a video lies: a link to a single file of the other folder is a video on both sides."""
    return video if video.is_dir() else video.parent


def _sources(
    root: Path, arrays: list[str], folders: list[str], files: list[str]
) -> tuple[VideoSource, set[tuple[int, int]], int]:
    """One source of videos of all kinds, their sizes, and how many further copies there are.

    Of a video in several formats the first that can be read counts; if none can, the first.
    """
    readable: set[str] = set()
    found: list[tuple[VideoSource, list[str], list[tuple[int, int]]]] = []
    for names, opened in ((arrays, _arrays), (folders, _frames), (files, _files)):
        left = [name for name in names if _stem(name, names is folders) not in readable]
        if left:
            source, sizes = opened(root, left)
            stems = [_stem(name, names is folders) for name in left]
            readable |= {stem for place, stem in enumerate(stems) if place not in source.problems}
            found.append((source, stems, sizes))
    seen: set[str] = set()
    parts: list[VideoSource] = []
    sizes_of: set[tuple[int, int]] = set()
    for source, stems, sizes in found:
        kept = [
            place
            for place, stem in enumerate(stems)
            if stem not in seen and (place not in source.problems or stem not in readable)
        ]
        seen |= {stems[place] for place in kept}
        sizes_of |= {sizes[place] for place in kept}
        if kept:
            parts.append(source if len(kept) == len(stems) else ChosenVideos(source, kept))
    return ConcatVideos(parts), sizes_of, len(arrays) + len(folders) + len(files) - len(seen)


def _stem(name: str, is_folder: bool) -> str:
    """What the formats of a video share."""
    return name if is_folder else Path(name).with_suffix("").as_posix()


def _arrays(root: Path, names: list[str]) -> tuple[VideoSource, list[tuple[int, int]]]:
    source = ArrayVideos(root, names)
    return source, source.sizes


def _frames(root: Path, names: list[str]) -> tuple[VideoSource, list[tuple[int, int]]]:
    return _indexed(IndexedVideos(load_or_build(root, names, frame_folder.probe)))


def _files(root: Path, names: list[str]) -> tuple[VideoSource, list[tuple[int, int]]]:
    return _indexed(IndexedVideos(load_or_build(root, names, probing.probe)))


def _indexed(source: IndexedVideos) -> tuple[VideoSource, list[tuple[int, int]]]:
    return source, [(int(line["height"]), int(line["width"])) for line in source.index.lines]


def _first(no_videos: dict[str, str]) -> str:
    name, reason = next(iter(no_videos.items()))
    return f"{Path(name).name}, which is {reason}"


class ChosenVideos:
    """Some videos of a source, as a source.

    Args:
        source: All videos.
        places: Which of them.
    """

    def __init__(self, source: VideoSource, places: Sequence[int]) -> None:
        self.source, self.places = source, places
        self.lengths, self.labels = source.lengths[list(places)], source.labels[list(places)]
        self.problems = {new: source.problems[old] for new, old in enumerate(places) if old in source.problems}

    def name(self, index: int) -> str:
        """As the source's."""
        return self.source.name(self.places[index])

    def stamps(self) -> bytes:
        """As the source's."""
        return self.source.stamps()

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        """As the source's."""
        return self.source.read(self.places[index], frames, resolution)


def some(names: Iterable[str]) -> str:
    """Up to three file names, and how many others there are."""
    names = [Path(name).name for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
