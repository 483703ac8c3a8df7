"""Videos of any kind, in a folder or a list: files, folders of frames, arrays, mixed and nested as they come.

What counts as a video, what does not and why is found out here, and said before anything is computed.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.data_lock import DataLock, check_lock
from pvdm_lightning.data.index.shared_videos import shared_videos
from pvdm_lightning.data.index.video_index import keep_index_apart
from pvdm_lightning.data.index.video_tree import (
    MOST_IN_LIST,
    find_array_files,
    find_frame_folders,
    find_videos,
    is_video,
    split_folders,
)
from pvdm_lightning.data.output.writing import check_fps
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.resampled import ResampledVideos
from pvdm_lightning.data.videos.source import ConcatVideos, IndexedVideos, VideoSource, file_of, fps_of, rates_of
from pvdm_lightning.data.videos.videos_in_arrays import VideoArray, VideosInArrays, find_video_arrays
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.evaluation.clip_options import Side
from pvdm_lightning.foreign_files import read_bytes

logger = logging.getLogger(__name__)

KINDS = ("arrays", "folders of frames", "files")
"""Of a video that is there in several kinds, the first that can be read counts."""
ARRAY_SUFFIXES = (".npy", ".npz")
LIST_SUFFIXES = (".txt", ".lst", ".list")
_GIVE = "Give a folder of videos, or a text file with the path of one a line."
_Found = dict[str, list[str]]
"""Relative paths of each of `KINDS`."""


@dataclass(frozen=True)
class LeftOut:
    """Some of what was found and does not count.

    Attributes:
        reason: Why, in a word or two.
        examples: Names, all or some of them.
        count: How many there are.
        note: The sentence about it.
    """

    reason: str
    examples: Sequence[str]
    count: int
    note: str

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"reason": self.reason, "count": self.count, "examples": [*self.examples[:3]]}


@dataclass(frozen=True)
class VideoFolder:
    """The videos of a folder or a list.

    Attributes:
        root: The folder, or the file of the list.
        argument: The option that named it.
        source: Its videos, broken ones included.
        stems: What is left of each video's path below the folder without the suffix of a file.
        video_sizes: (height, width) of each video; (0, 0) of a broken one.
        kinds: How many of the videos that can be read are of which kind.
        left_out: What was found and does not count.
        base: The folder that names are relative to.
        frames: int [N], how many frames each video has at its own rate; 0 if it is broken.
    """

    root: Path
    argument: str
    source: VideoSource
    stems: Sequence[str]
    video_sizes: Sequence[tuple[int, int]]
    kinds: Mapping[str, int]
    left_out: Sequence[LeftOut]
    base: Path
    frames: np.ndarray

    @classmethod
    def open(cls, root: str, argument: str, other: str | None = None) -> VideoFolder:
        """Find and look at the videos below a folder, or in a list.

        A list is a text file with the path of a video file, a folder of frames or a file of arrays in each line,
        relative to the list's own folder. The videos of an array of many are called by their numbers, as in a.npz/3.

        A video that is there in several formats, as `pvdm predict` writes them, counts once: as an array before frames
        before a file, the first that can be read. Pictures in a folder of videos are thumbnails or contact sheets, and
        arrays of other shapes are features, poses or labels: they count for nothing. Broken videos are named in the
        log.

        Args:
            root: The folder, or the file of the list.
            argument: The option that named it.
            other: Folder of the other side, whose videos are left out if it lies inside of this one.

        Raises:
            InvalidArgumentError: There is no such folder, no video in it that can be read, or a video of the list is
                missing.
        """
        path, side = Path(root), argument.rpartition(".")[2]
        left_out: list[LeftOut] = []
        if path.is_dir():
            base = path
            # Folders that cannot be read are among those of each kind, and one is enough.
            arrays = [name for name in find_array_files(path, ARRAY_SUFFIXES) if not (path / name).is_dir()]
            found: _Found = dict(zip(KINDS, (arrays, find_frame_folders(path), find_videos(path))))
        elif path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
            base, found, twice = _read_list(path, argument)
            if twice:
                note = f"{side}: {len(twice)} videos are listed more than once, such as {twice[0]}, and count once."
                left_out.append(LeftOut("listed again", twice, len(twice), note))
        else:
            problem = "is neither a folder nor a list of videos (.txt)" if path.exists() else "there is no such folder"
            raise InvalidArgumentError(argument, root, problem, _GIVE)
        if other is not None:
            found, gone = _outside(base, Path(other), found)
            if gone:
                note = f"{side}: the other folder, {other}, lies inside of it; its {len(gone)} videos are left out."
                left_out.append(LeftOut("inside the other folder", gone, len(gone), note))
        no_videos = {name: reason for name in found["arrays"] if (reason := _no_video(base / name))}
        found["arrays"] = [name for name in found["arrays"] if name not in no_videos]
        stray = []
        if path.is_dir():
            beside = {Path(name).parent.as_posix() for name in (*found["arrays"], *found["files"])}
            stray = [folder for folder in found["folders of frames"] if folder in beside]
            found["folders of frames"] = [name for name in found["folders of frames"] if name not in beside]
        if not any(found.values()):
            problem = "there are no video files, folders of pictures or arrays of videos in it"
            if no_videos:
                problem += f"; {_first(no_videos)}"
            raise InvalidArgumentError(argument, root, problem, _GIVE)
        source, stems, sizes, kinds, copies = _sources(base, found)
        for index, problem in source.problems.items():
            logger.warning("%s cannot be read and is skipped: %s", source.name(index), problem)
        if len(source.problems) == len(source.lengths):
            first = next(iter(source.problems))
            problem = f"none of its {len(source.lengths)} videos can be read ({source.problems[first]})"
            raise InvalidArgumentError(argument, root, problem, _GIVE)
        if no_videos:
            note = f"{side}: {len(no_videos)} files of arrays are no videos, such as {_first(no_videos)}."
            left_out.append(LeftOut("arrays of other things", [*no_videos], len(no_videos), note))
        if stray:
            note = f"{side}: pictures beside videos, such as thumbnails, are no videos."
            left_out.append(LeftOut("pictures beside videos", stray, len(stray), note))
        if source.problems:
            broken = [Path(source.name(index)).name for index in source.problems]
            note = f"{side}: {len(broken)} broken videos are skipped: {some(broken)}."
            left_out.append(LeftOut("broken", broken, len(broken), note))
        if copies:
            note = f"{side}: {len(copies)} copies of videos in other formats are not counted again."
            left_out.append(LeftOut("copies in other formats", copies, len(copies), note))
        return cls(path, argument, source, stems, sizes, kinds, left_out, base, source.lengths)

    @property
    def side(self) -> str:
        """What lines and records call it: real or generated."""
        return self.argument.rpartition(".")[2]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of the videos that can be read, each once, sorted."""
        return sorted({size for size, length in zip(self.video_sizes, self.source.lengths) if length > 0})

    @property
    def readable(self) -> np.ndarray:
        """Numbers of the videos that can be read, int64."""
        return np.flatnonzero(self.source.lengths > 0)

    @property
    def notes(self) -> list[str]:
        """What a reader of the report must know: what does not count, and what may not be meant to."""
        notes = [one.note for one in self.left_out]
        splits = split_folders(self.stems)
        if len(splits) > 1:
            notes.append(f"{self.side}: the videos of its folders {' and '.join(sorted(splits))} all count.")
        return notes

    def look_at_videos(self) -> DataLock:
        """The videos that can be read as they are now, with hashes of their contents."""
        videos = []
        for index in self.readable.tolist():
            name = Path(os.path.relpath(self.source.name(index), self.base)).as_posix()
            videos.append(("", name, int(self.frames[index]), file_of(self.source, index)))
        return DataLock.look_at(videos)

    def paths(self) -> list[Path]:
        """Paths of the files and folders of the videos that can be read, each once."""
        return [*dict.fromkeys(Path(file_of(self.source, int(index))) for index in self.readable)]

    def too_short(self, span: int) -> list[str]:
        """Names of the videos that can be read, but have fewer frames than `span`."""
        lengths = self.source.lengths
        return [Path(self.source.name(int(index))).name for index in np.flatnonzero((lengths > 0) & (lengths < span))]

    def summary(self) -> str:
        """What counts, in one line."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.items() if count)
        lengths = self.frames[self.readable]
        frames, sizes = _range(int(lengths.min()), int(lengths.max())), [f"{h} x {w}" for h, w in self.sizes]
        pixels = sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} ({len(sizes)} sizes)"
        return f"{self.side}: {len(lengths):,} videos of {self.root} count ({kinds}): {frames} frames, {pixels}"

    def record(self) -> dict[str, Any]:
        """What counts and what does not, as plain values, with a hash of the list of videos."""
        lengths = self.frames[self.readable]
        return {
            "path": str(self.root),
            "videos": len(lengths),
            "kinds": dict(self.kinds),
            "frames": [int(lengths.min()), int(lengths.max())],
            "sizes": [list(size) for size in self.sizes[:20]],
            "num_sizes": len(self.sizes),
            "left_out": [one.record() for one in self.left_out],
            "list_sha256": self.list_hash(),
        }

    def list_hash(self) -> str:
        """SHA-256 over name below the folder, bytes and frames of each video that can be read, sorted by name.

        The name is without suffix. Two machines agree on it, wherever the folder lies and whenever it was copied.
        """
        lines = []
        for index in self.readable:
            path, frames = Path(file_of(self.source, int(index))), int(self.frames[index])
            lines.append(f"{self.stems[index]}\0{_bytes(path)}\0{frames}\n".encode("utf-8", "surrogateescape"))
        return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


@dataclass(frozen=True)
class InputOptions:
    """What holds of the two sides of an evaluation.

    Attributes:
        allow_shared: Whether a video may be on both sides.
        real_fps: Frames per second to which the real videos are resampled; None for their own.
        real_lock: Lock of the real videos, whatever their splits; None if there is none.
    """

    allow_shared: bool = False
    real_fps: float | None = None
    real_lock: str | None = None

    def __post_init__(self) -> None:
        if self.real_fps is not None:
            check_fps("InputOptions.real_fps", self.real_fps)


NO_OPTIONS = InputOptions()


def open_both(
    real: str, generated: str, owner: str, options: InputOptions = NO_OPTIONS, is_first: bool = True
) -> tuple[dict[Side, VideoFolder], list[str]]:
    """The two sides of an evaluation, and what a reader must know of them; the first process logs both.

    Args:
        real: Folder or list of the real videos.
        generated: Likewise of the generated ones.
        owner: Whose arguments these are.
        options: What holds of them.
        is_first: Whether this is the first of the processes that share the evaluation.

    Raises:
        InvalidArgumentError: A side cannot be used, see `VideoFolder.open`; the real videos are not those of the lock;
            or a video is on both sides and that is not allowed.
    """
    folders: dict[Side, VideoFolder] = {
        "real": VideoFolder.open(real, f"{owner}.real", other=generated),
        "generated": VideoFolder.open(generated, f"{owner}.generated", other=real),
    }
    notes = [note for folder in folders.values() for note in folder.notes]
    if options.real_lock is not None:
        look = folders["real"].look_at_videos
        lock = check_lock(options.real_lock, "InputOptions.real_lock", real, look, by_split=False)
        notes.append(f"real: the videos are those of {options.real_lock}, list {lock.list_sha256()}.")
    notes += check_shared(folders["real"], folders["generated"], options.allow_shared)
    if options.real_fps is not None:
        resampled = ResampledVideos(folders["real"].source, options.real_fps, "InputOptions.real_fps")
        folders["real"] = replace(folders["real"], source=resampled)
        notes.append(f"real: {resampled.summary()}.")
    for line in (*(folder.summary() for folder in folders.values()), *notes) if is_first else ():
        logger.info("%s", line)
    return folders, notes


def check_shared(real: VideoFolder, generated: VideoFolder, allowed: bool) -> list[str]:
    """A note if videos are on both sides, under whatever names.

    Args:
        real: One side.
        generated: The other one.
        allowed: Whether that is asked for.

    Raises:
        InvalidArgumentError: Some are, and it is not.
    """
    there = real.paths()
    both = shared_videos(generated.paths(), there)
    if not both:
        return []
    problem = f"{len(both)} of its videos are among the real ones, too, such as {there[both[0].second].name}"
    if not allowed:
        remedy = "Remove them, or give InputOptions.allow_shared true if that is meant, as for a check."
        raise InvalidArgumentError(generated.argument, generated.root, problem, remedy)
    return [f"generated: {problem}, which makes the distance smaller."]


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _bytes(video: Path) -> int:
    """Bytes of a file, or of all frames of a folder; 0 if they cannot be looked at."""
    if video.is_dir():
        return int(np.frombuffer(frame_folder.stamps(video), np.int64)[::2].sum())
    try:
        return video.stat().st_size
    except OSError:
        return 0


def _read_list(path: Path, argument: str) -> tuple[Path, _Found, list[str]]:
    """The folder that all videos of a list lie in, their paths below it, and the names of those listed again.

    Raises:
        InvalidArgumentError: It is no text, is empty, or names something that is missing or no video.
    """
    try:
        text = read_bytes(path, MOST_IN_LIST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else one_line(error, 80)
        raise InvalidArgumentError(argument, path, f"cannot be read ({reason})", "Give a text file.") from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise InvalidArgumentError(argument, path, "is empty", "Give the path of a video in each line.")
    videos = [Path(os.path.normpath(path.parent.absolute() / name)) for name in names]  # links keep their names
    missing = [name for name, video in zip(names, videos) if not video.exists()]
    if missing:
        problem = f"{len(missing)} of the {len(names)} videos that it lists are not there: {some(missing)}"
        raise InvalidArgumentError(argument, path, problem, "Paths are relative to the folder of the list.")
    base = Path(os.path.commonpath([video.parent for video in videos]))
    keep_index_apart(base)  # the list was named, not the folder
    found: _Found = {kind: [] for kind in KINDS}
    twice, seen = [], set()
    for name, video in zip(names, videos):
        if video in seen:
            twice.append(name)
            continue
        seen.add(video)
        kind = _kind_of(video)
        if kind is None:
            raise InvalidArgumentError(argument, path, f"lists {name}, which is no video", _GIVE)
        found[kind].append(video.relative_to(base).as_posix())
    return base, {kind: sorted(some) for kind, some in found.items()}, twice


def _kind_of(video: Path) -> str | None:
    if video.is_dir():
        return "folders of frames" if any(frame_folder.image_names(video)) else None
    if video.suffix.lower() in ARRAY_SUFFIXES:
        return "arrays"
    return "files" if is_video(video.name) else None


def _outside(root: Path, other: Path, found: _Found) -> tuple[_Found, list[str]]:
    """The names that do not lead into another folder, which may be linked to, and the videos that do."""
    inner = other.resolve()
    if root.resolve().is_relative_to(inner):
        return found, []  # the other one leaves these out; a folder against itself is a check
    kept = {
        kind: [name for name in names if not _folder(root / name).resolve().is_relative_to(inner)]
        for kind, names in found.items()
    }
    gone = {_stem(name, kind) for kind, names in found.items() for name in set(names) - set(kept[kind])}
    return kept, sorted(gone)


def _folder(video: Path) -> Path:
    """Where a video lies: a link to a single file of the other folder is a video on both sides."""
    return video if video.is_dir() else video.parent


@dataclass(frozen=True)
class _Opened:
    """The videos of one kind: their source, stems, names and sizes."""

    kind: str
    source: VideoSource
    stems: Sequence[str]
    names: Sequence[str]
    sizes: Sequence[tuple[int, int]]


def _sources(
    root: Path, found: _Found
) -> tuple[VideoSource, list[str], list[tuple[int, int]], dict[str, int], list[str]]:
    """One source of videos of all kinds, their stems, their sizes, how many of each kind, and further copies.

    Of a video in several formats the first that can be read counts, GIF with its 256 colours last; if none can, the
    first.
    """
    opened: list[_Opened] = []
    chosen: dict[str, tuple[int, int]] = {}  # stem -> number among those opened, and place in its source
    copies: list[str] = []

    def is_broken(place: tuple[int, int]) -> bool:
        return place[1] in opened[place[0]].source.problems

    for kind, open_kind in zip(KINDS, (_arrays, _frames, _files)):
        left = [name for name in found[kind] if (best := chosen.get(_stem(name, kind))) is None or is_broken(best)]
        copies += sorted(set(found[kind]) - set(left))
        if not left:
            continue
        opened.append(videos := open_kind(root, left))
        for place in sorted(range(len(videos.stems)), key=lambda place: videos.names[place].lower().endswith(".gif")):
            here, stem = (len(opened) - 1, place), videos.stems[place]
            best = chosen.get(stem)
            if best is None or (is_broken(best) and not is_broken(here)):
                if best is not None:
                    copies.append(opened[best[0]].names[best[1]])
                chosen[stem] = here
            else:
                copies.append(videos.names[place])
    parts: list[VideoSource] = []
    stems: list[str] = []
    sizes: list[tuple[int, int]] = []
    kinds: dict[str, int] = {}
    for number, videos in enumerate(opened):
        kept = [place for place, stem in enumerate(videos.stems) if chosen[stem] == (number, place)]
        if kept:
            source = videos.source
            parts.append(source if len(kept) == len(videos.stems) else ChosenVideos(source, kept))
            stems += [videos.stems[place] for place in kept]
            sizes += [videos.sizes[place] for place in kept]
            kinds[videos.kind] = sum(place not in source.problems for place in kept)
    return ConcatVideos(parts), stems, sizes, kinds, copies


def _stem(name: str, kind: str) -> str:
    """What the formats of a video share."""
    return name if kind == "folders of frames" else Path(name).with_suffix("").as_posix()


def _arrays(root: Path, names: list[str]) -> _Opened:
    arrays = [array for name in names for array in _videos_in(root, name)]
    chosen = [(which, number) for which, array in enumerate(arrays) for number in range(array.num_videos)]
    alone = Counter(array.file for array in arrays)
    stems = []
    for which, number in chosen:
        array, stem = arrays[which], _stem(arrays[which].file, "arrays")
        stem += "" if alone[array.file] == 1 else array.name.removeprefix(array.file)
        stems.append(f"{stem}/{number}" if "N" in array.axes else stem)
    sizes = [arrays[which].size for which, _ in chosen]
    owners = [arrays[which].file for which, _ in chosen]
    return _Opened("arrays", VideosInArrays(root, arrays, chosen, None), stems, owners, sizes)


def _videos_in(root: Path, name: str) -> list[VideoArray]:
    """The arrays of videos in a file, or one with the problem that there is.

    They are uint8: the range of others would be a guess. An array whose last axis is the colours has the order that
    `pvdm predict` writes; that of others is looked for.
    """
    try:
        for axes in ("THWC", "NTHWC", None):
            arrays = [_in_uint8(array) for array in find_video_arrays(root, [name], axes, None)[0]]
            if axes is None or any(array.stored is not None for array in arrays):
                return [array for array in arrays if axes is None or array.stored is not None]
    except InvalidArgumentError as error:
        return [VideoArray(None, "", name, name, problem=error.problem)]
    return []


def _in_uint8(array: VideoArray) -> VideoArray:
    if array.stored is None or array.stored.dtype == np.uint8:
        return array
    problem = f"is {array.stored.dtype} {list(array.stored.shape)}, not uint8 [T H W 3]"
    return VideoArray(None, "", array.file, array.name, problem=problem)


def _no_video(path: Path) -> str:
    """What a file of arrays holds if none of them can be one of videos, such as features; "" of all others."""
    try:
        arrays, others = find_video_arrays(path.parent, [path.name], None, None)
    except InvalidArgumentError:
        return ""
    return "" if arrays or not others else others[0].removeprefix(f"{path.name}: ").removeprefix("it is ")


def _frames(root: Path, names: list[str]) -> _Opened:
    return _indexed("folders of frames", names, IndexedVideos(load_or_build(root, names, frame_folder.probe)))


def _files(root: Path, names: list[str]) -> _Opened:
    return _indexed("files", names, IndexedVideos(load_or_build(root, names, probing.probe)))


def _indexed(kind: str, names: list[str], source: IndexedVideos) -> _Opened:
    sizes = [(int(line["height"]), int(line["width"])) for line in source.index.lines]
    return _Opened(kind, source, [_stem(name, kind) for name in names], names, sizes)


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
        self.fps, self.rates = fps_of(source)[list(places)], rates_of(source)[list(places)]
        self.problems = {new: source.problems[old] for new, old in enumerate(places) if old in source.problems}

    def name(self, index: int) -> str:
        """As the source's."""
        return self.source.name(self.places[index])

    def stamps(self) -> bytes:
        """As the source's."""
        return self.source.stamps()

    def file(self, index: int) -> str:
        """As the source's."""
        return file_of(self.source, self.places[index])

    def frame_times(self, index: int) -> np.ndarray | None:
        """As the source's."""
        return getattr(self.source, "frame_times", lambda _: None)(self.places[index])

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        """As the source's."""
        return self.source.read(self.places[index], frames, resolution)


def some(names: Iterable[str]) -> str:
    """Up to three file names, and how many others there are."""
    names = [Path(name).name for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
