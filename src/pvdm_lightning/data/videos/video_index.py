"""What is known of the videos of a folder, one line each, kept in a file.

Made for a million videos: lines are one numpy array and names one block of bytes, so that worker processes share
them rather than copy them, and loading is one read.
"""

import hashlib
import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.videos.names import Names
from pvdm_lightning.data.videos.video_info import Route, VideoInfo, stamp_of

logger = logging.getLogger(__name__)

FORMAT = 2  # raise it whenever a line's meaning or the probe changes: older indices are then built anew
FILE_NAME = ".pvdm_index.npz"

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


def _places(root: Path) -> list[Path]:
    """Where the index of a folder may lie, best first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pvdm_lightning"
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return [root / FILE_NAME, cache / f"{key}.npz"]


def load_index(root: Path) -> VideoIndex | None:
    """The stored index of a folder; None if there is none that can be read."""
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


def save_index(index: VideoIndex) -> None:
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
