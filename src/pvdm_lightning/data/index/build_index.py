"""Building the index of a folder of videos: in parallel, resumable, and only where files have changed."""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.index.video_index import LINE, VideoIndex, load_index, save_index
from pvdm_lightning.data.index.video_info import VideoInfo, stamp_of
from pvdm_lightning.data.output.names import Names
from pvdm_lightning.data.videos.file_span import FileSpan, FileSpans, Place

logger = logging.getLogger(__name__)

Probe: TypeAlias = Callable[[Any], VideoInfo]
"""Finds out a video's line; takes a `Path`, or a `FileSpan` of a member of an archive."""
SAVE_SECONDS = 60.0  # a killed build loses no more than this
CHUNK = 2048  # videos handed to the pool at a time: a million futures at once would take a gigabyte

# Troubles of the machine rather than of the file: not kept, so that the file is looked at again the next time.
PASSING = frozenset(
    os.strerror(number)
    for number in (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT)
)


def load_or_build(
    root: Path,
    names: Sequence[str],
    probe: Probe,
    progress: bool = True,
    spans: Sequence[FileSpan] | None = None,
) -> VideoIndex:
    """The index of these videos: from the disk where they are unchanged, else by probing them.

    Args:
        root: Folder the names are relative to. The index is kept in it, or below the user's cache folder if it is
            read-only.
        names: Relative paths.
        probe: Finds out a video's line; called in parallel threads (FFmpeg works without the interpreter's lock).
        progress: Whether a bar shows how far the probing is.
        spans: Where each lies if they are members of archives; see `VideoIndex`.

    Returns:
        One line for each of `names`, in order.
    """
    return _Builder(root, names, probe, progress, None if spans is None else FileSpans.of(spans)).build()


class _Builder:
    """The build of one index; keeps the texts of problems apart, as numbers, while lines are filled in."""

    def __init__(self, root: Path, names: Sequence[str], probe: Probe, progress: bool, spans: FileSpans | None) -> None:
        self.root, self.probe, self.progress, self.spans = root, probe, progress, spans
        self.names = names if isinstance(names, Names) else Names(names)
        self.lines = np.zeros(len(names), dtype=LINE)
        self.problems: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self.others: VideoIndex | None = None  # of the same folder, but not among the names: other splits

    def build(self) -> VideoIndex:
        with ThreadPoolExecutor(max_workers=num_cores()) as pool:
            if self.spans is None:
                stretches = [slice(start, start + CHUNK) for start in range(0, len(self.names), CHUNK)]
                for stretch, found in zip(stretches, pool.map(self._stat, stretches)):
                    self.lines[["size", "mtime_ns"]][stretch] = found
            else:
                self.lines["size"], self.lines["mtime_ns"] = self.spans.stamps()
            missing = self._reuse(load_index(self.root))
            if len(missing):
                logger.info("indexing %d of %d videos in %s", len(missing), len(self.names), self.root)
                try:
                    self._probe_all(pool, missing)
                finally:  # an interrupted build goes on where it was
                    pool.shutdown(wait=True, cancel_futures=True)
                    self._save()
        return VideoIndex(self.root, self.names, self.lines, self.problems, self.spans)

    def _stat(self, stretch: slice) -> list[tuple[int, int]]:
        """Of the files of a stretch; one that cannot be looked at is named by its probe."""
        return [stamp_of(self.root / name) for name in self.names[stretch]]

    def _places(self, rows: Iterable[int]) -> list[Place]:
        return [self.root / self.names[row] if self.spans is None else self.spans[row] for row in rows]

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
                for row, info in zip(rows, pool.map(self.probe, self._places(rows))):
                    self._fill_in(row, info)
                    bar.update()
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self._save()
                        saved = time.monotonic()

    def _fill_in(self, row: int, info: VideoInfo) -> None:
        line = self.lines[row]
        for field in (
            "frames",
            "height",
            "width",
            "fps",
            "rotation",
            "mirrored",
            "aspect",
            "route",
            "first_pts",
            "pts_step",
        ):
            line[field] = getattr(info, field)
        line["codec"] = info.codec.encode()[:13]
        line["problem"] = self._number(info.problem)

    def _save(self) -> None:
        passing = [number for text, number in self._numbers.items() if text in PASSING]
        found_out = (self.lines["frames"] > 0) | (self.lines["problem"] > 0)
        probed = np.flatnonzero(found_out & ~np.isin(self.lines["problem"], passing))
        names: Iterable[str] = self.names if len(probed) == len(self.names) else (self.names[row] for row in probed)
        lines = self.lines[probed]
        if self.others is not None:
            names, lines = [*names, *self.others.names], np.concatenate([lines, self.others.lines])
        save_index(VideoIndex(self.root, names if isinstance(names, Names) else Names(names), lines, self.problems))


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rows_of(names: Names, kept: Names) -> np.ndarray:
    """For each name its row among the kept ones, or -1."""
    if len(names) == len(kept) and np.array_equal(names.ends, kept.ends) and np.array_equal(names.block, kept.block):
        return np.arange(len(names))
    rows = {name: row for row, name in enumerate(kept)}
    return np.fromiter((rows.get(name, -1) for name in names), dtype=np.int64, count=len(names))
