"""The index of a folder of videos: one line a video, built once in parallel, kept on disk, rebuilt where files change.

Made for a million videos: lines lie in one numpy array and names in one block of bytes, so that worker processes
share them rather than copy them, and loading is one read.
"""

import errno
import hashlib
import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.videos.video_info import Route, VideoInfo, stamp_of

logger = logging.getLogger(__name__)

FORMAT = 2  # raise it whenever a line's meaning or the probe changes: older indices are then built anew
FILE_NAME = ".pvdm_index.npz"
SAVE_SECONDS = 60.0  # a killed build loses no more than this
CHUNK = 2048  # videos handed to the pool at a time: a million futures at once would take a gigabyte

# Troubles of the machine rather than of the file: not kept, so that the file is looked at again the next time.
PASSING = frozenset(
    os.strerror(number)
    for number in (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT)
)

LINE = np.dtype(
    [
        ("size", "<i8"),
        ("mtime_ns", "<i8"),
        ("first_pts", "<i8"),
        ("pts_step", "<f8"),
        ("frames", "<i4"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("fps", "<f4"),
        ("problem", "<i4"),
        ("rotation", "<i2"),
        ("route", "u1"),
        ("codec", "S13"),
    ]
)


class Names(Sequence[str]):
    """A sequence of strings in one block of bytes: a million paths take 60 MB, once, whatever the number of workers.

    A list of a million strings is copied page by page into every worker that so much as looks at it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self.ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self.block = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        rows = range(len(self))[index]
        if isinstance(rows, int):
            start = self.ends[rows - 1] if rows else 0
            return os.fsdecode(self.block[start : self.ends[rows]].tobytes())
        assert rows.step == 1, "only whole stretches"
        if not rows:
            return []
        ends = self.ends[rows.start : rows.stop].tolist()
        first = int(self.ends[rows.start - 1]) if rows.start else 0
        stretch = self.block[first : ends[-1]].tobytes()
        return [os.fsdecode(stretch[a - first : b - first]) for a, b in zip([first, *ends], ends)]


class VideoIndex:
    """What is known of some videos below a folder.

    Args:
        root: The folder.
        names: Paths of the videos relative to it.
        lines: `LINE` array, one entry for each of `names`.
        problems: The texts that ``lines["problem"]`` counts in; the first is "".
    """

    def __init__(self, root: Path, names: Names, lines: np.ndarray, problems: list[str]) -> None:
        assert len(names) == len(lines), (len(names), len(lines))
        self.root, self.names, self.lines, self.problems = root, names, lines, problems

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, rows: slice) -> "VideoIndex":
        """The index of some of the videos."""
        return VideoIndex(self.root, Names(self.names[rows]), self.lines[rows].copy(), self.problems)

    def path(self, row: int) -> Path:
        return self.root / self.names[row]

    def problem(self, row: int) -> str:
        return self.problems[self.lines["problem"][row]]

    def info(self, row: int) -> VideoInfo:
        line = self.lines[row]
        return VideoInfo(
            frames=int(line["frames"]),
            height=int(line["height"]),
            width=int(line["width"]),
            fps=float(line["fps"]),
            codec=line["codec"].decode(),
            rotation=int(line["rotation"]),
            route=Route(int(line["route"])),
            first_pts=int(line["first_pts"]),
            pts_step=float(line["pts_step"]),
            problem=self.problem(row),
        )


def load_or_build(
    root: Path, names: Sequence[str], probe: Callable[[Path], VideoInfo], progress: bool = True
) -> VideoIndex:
    """The index of these videos: from the disk where they are unchanged, else by probing them.

    Args:
        root: Folder the names are relative to. The index is kept in it, or below the user's cache folder if it is
            read-only.
        names: Relative paths.
        probe: Finds out a video's line; called in parallel threads (FFmpeg works without the interpreter's lock).
        progress: Whether a bar shows how far the probing is.

    Returns:
        One line for each of `names`, in order.
    """
    return _Builder(root, names, probe, progress).build()


class _Builder:
    """The build of one index; keeps the texts of problems apart, as numbers, while lines are filled in."""

    def __init__(self, root: Path, names: Sequence[str], probe: Callable[[Path], VideoInfo], progress: bool) -> None:
        self.root, self.probe, self.progress = root, probe, progress
        self.names = names if isinstance(names, Names) else Names(names)
        self.lines = np.zeros(len(names), dtype=LINE)
        self.problems: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self.others: VideoIndex | None = None  # of the same folder, but not among the names: other splits

    def build(self) -> VideoIndex:
        with ThreadPoolExecutor(max_workers=num_cores()) as pool:
            stretches = [slice(start, start + CHUNK) for start in range(0, len(self.names), CHUNK)]
            for stretch, found in zip(stretches, pool.map(self._stat, stretches)):
                self.lines[["size", "mtime_ns"]][stretch] = found
            missing = self._reuse(_load(self.root))
            if len(missing):
                logger.info("indexing %d of %d videos in %s", len(missing), len(self.names), self.root)
                try:
                    self._probe_all(pool, missing)
                finally:  # an interrupted build goes on where it was
                    pool.shutdown(wait=True, cancel_futures=True)
                    self._save()
        return VideoIndex(self.root, self.names, self.lines, self.problems)

    def _stat(self, stretch: slice) -> list[tuple[int, int]]:
        """Of the files of a stretch; one that cannot be looked at is named by its probe."""
        return [stamp_of(self.root / name) for name in self.names[stretch]]

    def _paths(self, rows: Iterable[int]) -> list[Path]:
        return [self.root / self.names[row] for row in rows]

    def _number(self, problem: str) -> int:
        if problem not in self._numbers:
            self._numbers[problem] = len(self.problems)
            self.problems.append(problem)
        return self._numbers[problem]

    def _reuse(self, kept: VideoIndex | None) -> np.ndarray:
        """Take over the lines of unchanged files; returns the rows that remain to be probed."""
        if kept is None:
            return np.arange(len(self.names))
        renumbered = np.array([self._number(problem) for problem in kept.problems], dtype=np.int32)
        kept.lines["problem"] = renumbered[kept.lines["problem"]]
        kept.problems = self.problems
        where = _rows_of(self.names, kept.names)
        found = np.flatnonzero(where >= 0)
        same = np.ones(len(found), dtype=bool)
        for field in ("size", "mtime_ns"):
            same &= self.lines[field][found] == kept.lines[field][where[found]]
        found = found[same]
        self.lines[found] = kept.lines[where[found]]
        others = np.setdiff1d(np.arange(len(kept)), where[where >= 0])
        if len(others):
            self.others = VideoIndex(self.root, Names(kept.names[row] for row in others), kept.lines[others], [])
        return np.setdiff1d(np.arange(len(self.names)), found)

    def _probe_all(self, pool: ThreadPoolExecutor, missing: np.ndarray) -> None:
        saved = time.monotonic()
        with tqdm(total=len(missing), desc="indexing videos", unit="video", disable=not self.progress) as bar:
            for start in range(0, len(missing), CHUNK):
                rows = missing[start : start + CHUNK]
                for row, info in zip(rows, pool.map(self.probe, self._paths(rows))):
                    self._fill_in(row, info)
                    bar.update()
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self._save()
                        saved = time.monotonic()

    def _fill_in(self, row: int, info: VideoInfo) -> None:
        line = self.lines[row]
        for field in ("frames", "height", "width", "fps", "rotation", "route", "first_pts", "pts_step"):
            line[field] = getattr(info, field)
        line["codec"] = info.codec.encode()
        line["problem"] = self._number(info.problem)

    def _save(self) -> None:
        passing = [number for text, number in self._numbers.items() if text in PASSING]
        found_out = (self.lines["frames"] > 0) | (self.lines["problem"] > 0)
        probed = np.flatnonzero(found_out & ~np.isin(self.lines["problem"], passing))
        names: Iterable[str] = self.names if len(probed) == len(self.names) else (self.names[row] for row in probed)
        lines = self.lines[probed]
        if self.others is not None:
            names, lines = [*names, *self.others.names], np.concatenate([lines, self.others.lines])
        _save(VideoIndex(self.root, names if isinstance(names, Names) else Names(names), lines, self.problems))


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rows_of(names: Names, kept: Names) -> np.ndarray:
    """For each name its row among the kept ones, or -1."""
    if len(names) == len(kept) and np.array_equal(names.ends, kept.ends) and np.array_equal(names.block, kept.block):
        return np.arange(len(names))
    rows = {name: row for row, name in enumerate(kept)}
    return np.fromiter((rows.get(name, -1) for name in names), dtype=np.int64, count=len(names))


def _places(root: Path) -> list[Path]:
    """Where the index of a folder may lie, best first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvdm_lightning"
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return [root / FILE_NAME, cache / f"{key}.npz"]


def _load(root: Path) -> VideoIndex | None:
    # The newest: beside an older one in a read-only folder, the one in the cache has what was found out since.
    for place in sorted(_places(root), key=lambda place: stamp_of(place)[1], reverse=True):
        try:
            with np.load(place, allow_pickle=False) as stored:
                if int(stored["format"]) != FORMAT or stored["lines"].dtype != LINE:
                    continue
                names = Names([])
                names.block, names.ends = stored["names"], stored["name_ends"]
                problems = stored["problems"].tobytes().decode().split("\n")
                return VideoIndex(root, names, stored["lines"], problems)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("%s cannot be read (%s), the index is built anew", place, error)
    return None


def _save(index: VideoIndex) -> None:
    """Write an index so that readers see the old one or the new one, never half of it."""
    for place in _places(index.root):
        try:
            with atomic_write(place) as partial, partial.open("wb") as file:
                np.savez(
                    file,
                    format=FORMAT,
                    names=index.names.block,
                    name_ends=index.names.ends,
                    lines=index.lines,
                    problems=np.frombuffer("\n".join(index.problems).encode(), dtype=np.uint8),
                )
            return
        except OSError as error:
            reason = error
    logger.warning("the index of %s cannot be kept (%s) and is built anew each time", index.root, reason)
