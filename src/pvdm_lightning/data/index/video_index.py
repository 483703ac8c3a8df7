"""What is known of the videos of a folder, one line each, kept in a file.

Made for a million videos: lines are one numpy array and names one block of bytes, so that worker processes share
them rather than copy them, and loading is one read.
"""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.index.video_info import MOST_PIXELS, Route, VideoInfo, stamp_of
from pvdm_lightning.data.output.names import Names
from pvdm_lightning.data.videos.file_span import FileSpans, Place
from pvdm_lightning.data.videos.npz import read_npz
from pvdm_lightning.pretrained import usable_cache_folder

logger = logging.getLogger(__name__)

FORMAT = 5  # raise it whenever a line's meaning or the probe changes: older indices are then built anew
FILE_NAME = ".pvdm_index.npz"
_ARRAYS = ("lines", "names", "name_ends", "problems")

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
        ("aspect", "<f4"),
        ("rotation", "<i2"),
        ("mirrored", "?"),
        ("route", "u1"),
        ("codec", "S13"),
    ]
)


class VideoIndex:
    """What is known of some videos below a folder.

    Args:
        root: The folder.
        names: Paths of the videos relative to it.
        lines: `LINE` array, one entry for each of `names`.
        problems: The texts that ``lines["problem"]`` counts in; the first is "".
        spans: Where each lies if they are members of archives; then `names` are those of the archives with those of the
            members behind them.
    """

    def __init__(
        self, root: Path, names: Names, lines: np.ndarray, problems: list[str], spans: FileSpans | None = None
    ) -> None:
        assert len(names) == len(lines), (len(names), len(lines))
        self.root, self.names, self.lines, self.problems, self.spans = root, names, lines, problems, spans

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, rows: slice) -> "VideoIndex":
        """The index of some of the videos."""
        spans = None if self.spans is None else self.spans[rows]
        return VideoIndex(self.root, Names(self.names[rows]), self.lines[rows].copy(), self.problems, spans)

    def path(self, row: int) -> Path:
        """What messages call a video."""
        return self.root / self.names[row]

    def place(self, row: int) -> Place:
        """Where its bytes are."""
        return self.path(row) if self.spans is None else self.spans[row]

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
            mirrored=bool(line["mirrored"]),
            aspect=float(line["aspect"]),
            route=Route(int(line["route"])),
            first_pts=int(line["first_pts"]),
            pts_step=float(line["pts_step"]),
            problem=self.problem(row),
        )


_APART: set[Path] = set()


def keep_index_apart(root: Path) -> None:
    """Write nothing into a folder that the user did not name, or below it: indices go to the cache folder alone."""
    _APART.add(root.resolve())


def _is_apart(root: Path) -> bool:
    return not _APART.isdisjoint((root.resolve(), *root.resolve().parents))


def _places(root: Path) -> list[Path]:
    """Where the index of a folder may lie, best first."""
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    cache = usable_cache_folder()
    return [root / FILE_NAME, *([] if cache is None else [cache / f"{key}.npz"])]


def load_index(root: Path) -> VideoIndex | None:
    """The stored index of a folder; None if there is none that can be read."""
    # The newest: beside an older one in a read-only folder, the one in the cache has what was found out since.
    for place in sorted(_places(root), key=lambda place: stamp_of(place)[1], reverse=True):
        try:
            arrays = _read_arrays(place)
            if arrays is None:
                continue
            names = Names([])
            names.block, names.ends = arrays["names"], arrays["name_ends"]
            problems = arrays["problems"].tobytes().decode("utf-8", "surrogateescape").split("\n")
            _check(names, arrays["lines"], problems)
            return VideoIndex(root, names, arrays["lines"], problems)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, MemoryError) as error:
            logger.warning("%s cannot be read (%s), the index is built anew", place, error)
    return None


def _read_arrays(place: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an index; None if its format is another; raises as `read_npz`."""
    version = read_npz(place, ["format"], most=2**10).get("format")
    if version is None or version.shape or version.dtype.kind not in "iu" or int(version) != FORMAT:
        return None
    arrays = read_npz(place, _ARRAYS)
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise ValueError(f"{missing[0]} is missing")
    return arrays if arrays["lines"].dtype == LINE else None


def _check(names: Names, lines: np.ndarray, problems: list[str]) -> None:
    """Raise `ValueError` if lines or names are impossible."""
    block, ends = names.block, names.ends
    if block.dtype != np.uint8 or ends.dtype != np.int64 or not block.ndim == ends.ndim == lines.ndim == 1:
        raise ValueError("its names are no text")
    rising = len(ends) == 0 or (ends[0] >= 0 and bool((np.diff(ends) >= 0).all()) and ends[-1] == len(block))
    if len(ends) != len(lines) or not rising:
        raise ValueError("it has not one name a line")
    possible = (
        (lines["route"] <= max(Route))
        & (lines["problem"] >= 0)
        & (lines["problem"] < len(problems))
        & (lines["frames"] >= 0)
        & (lines["height"] >= 0)
        & (lines["width"] >= 0)
        & (lines["height"].astype(np.int64) * lines["width"] <= MOST_PIXELS)
        & np.isin(lines["rotation"], (0, 90, 180, 270))
        & np.isfinite(lines["aspect"])
        & (lines["aspect"] > 0)
        & np.isfinite(lines["fps"])
        & np.isfinite(lines["pts_step"])
    )
    if not possible.all():
        raise ValueError(f"line {int(np.argmin(possible))} is impossible")


def save_index(index: VideoIndex) -> None:
    """Write an index so that readers see the old one or the new one, never half of it."""
    places = _places(index.root)
    problems = "\n".join(index.problems).encode("utf-8", "surrogateescape")
    reason: object = "it has no place"
    for place in places[1:] if _is_apart(index.root) else places:
        try:
            with atomic_write(place) as partial, partial.open("wb") as file:
                np.savez(
                    file,
                    format=FORMAT,
                    names=index.names.block,
                    name_ends=index.names.ends,
                    lines=index.lines,
                    problems=np.frombuffer(problems, dtype=np.uint8),
                )
            return
        except OSError as error:
            reason = error
    logger.warning("the index of %s cannot be kept (%s) and is built anew each time", index.root, reason)
