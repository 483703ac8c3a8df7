"""LeRobot data sets: which episodes of which camera are in which stretch of which file.

Of version 2 an episode is a file: ``videos/chunk-000/{camera}/episode_000000.mp4``, and ``meta/episodes.jsonl`` lists
the episodes. Of version 3 a file has many: ``videos/{camera}/chunk-000/file-000.mp4``, and
``meta/episodes/chunk-000/file-000.parquet`` says where each starts and ends. ``meta/info.json`` names the cameras.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import check_regular, parse_json, read_bytes, read_json

MOST_EPISODES = 10**6
MOST_IN_LIST = 2**28
"""Bytes of a list of episodes."""
DEFAULT_PATHS = {
    2: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    3: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
_FIELD = re.compile(r"{(\w+)(?::0?(\d)d)?}")
_REMEDY = "Get the data set anew, with its folder meta."


class Episode(NamedTuple):
    """Where an episode is.

    Attributes:
        number: Its number in the data set.
        file: Path of the video file, relative to the root.
        first: Number of its first frame in that file.
        frames: How many frames it has.
        task: What is done in it; "" if it has no task, or several.
    """

    number: int
    file: str
    first: int
    frames: int
    task: str


class LeRobotFolder:
    """A folder with a LeRobot data set, of version 2 or 3.

    Args:
        root: The folder.

    Attributes:
        cameras: Names of the cameras, those of the columns with videos.
        splits: (first, end) of the numbers of the episodes of each split; none if there are no splits.

    Raises:
        InvalidArgumentError: It has none, or one of another version.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            info = read_json(root / "meta/info.json")
        except FileNotFoundError:
            problem = "has no meta/info.json, which each LeRobot data set has"
            raise self._error(problem, "Give the folder that holds meta and videos.") from None
        except (OSError, ValueError) as error:
            raise self._error(f"meta/info.json cannot be read ({one_line(error, 80)})", _REMEDY) from None
        try:
            self.version = int(re.match(r"v?(\d+)", str(info["codebase_version"]))[1])  # type: ignore[index]
            self.fps = float(info["fps"])
            features = {str(name): about["dtype"] for name, about in info["features"].items()}
            splits = {str(name): str(text).split(":") for name, text in (info.get("splits") or {}).items()}
            self.splits = {name.lower(): (int(first), int(end)) for name, (first, end) in splits.items()}
            self._chunk = int(info.get("chunks_size") or 1000)
            self._template = str(info.get("video_path") or DEFAULT_PATHS.get(self.version))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._error(f"meta/info.json is not as LeRobot writes it ({one_line(error, 80)})", _REMEDY) from None
        if self.version not in DEFAULT_PATHS:
            problem = f"is of version {info['codebase_version']} of LeRobot's format, and 2 and 3 are read"
            raise self._error(problem, "Convert it with the tools of lerobot.")
        if not (0 < self.fps < 10**6 and self._chunk > 0):
            raise self._error(f"meta/info.json has {self.fps:g} frames a second", _REMEDY)
        self.cameras = sorted(name for name, kind in features.items() if kind == "video")
        if not self.cameras:
            pictures = sum(kind == "image" for kind in features.values())
            problem = "has no videos" + (f", but {pictures} columns of single pictures" if pictures else "")
            raise self._error(problem, "Give a data set that was recorded with videos.")

    def camera(self, name: str | None) -> str:
        """The camera to read: that of a name, or the only one.

        Raises:
            InvalidArgumentError: There is none of this name, or several of which none is named.
        """
        if name is None and len(self.cameras) == 1:
            return self.cameras[0]
        if name not in self.cameras:
            problem = f"{'no camera is named' if name is None else 'there is no such camera'} in {self.root}"
            remedy = f"Give {' or '.join(self.cameras)}."
            raise InvalidArgumentError("DataModule.camera", name, problem, remedy)
        return name

    def episodes(self, camera: str) -> list[Episode]:
        """The episodes as a camera shows them, by their numbers.

        Raises:
            InvalidArgumentError: Their list is missing or damaged, or is a parquet file and pyarrow is not installed.
        """
        read = self._from_jsonl if self.version == 2 else self._from_parquet
        try:
            episodes = {episode.number: episode for episode in read(camera)}
        except InvalidArgumentError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error, 80)
            raise self._error(f"its list of episodes is not as LeRobot writes it ({reason})", _REMEDY) from None
        except OSError as error:
            raise self._error(f"its list of episodes cannot be read ({one_line(error, 80)})", _REMEDY) from None
        if not episodes:
            raise self._error("lists no episodes", _REMEDY)
        return [episodes[number] for number in sorted(episodes)]

    def _from_jsonl(self, camera: str) -> Iterator[Episode]:
        text = read_bytes(self.root / "meta/episodes.jsonl", MOST_IN_LIST).decode()
        for line in text.splitlines():
            if line.strip():
                row = parse_json(line)
                number = _count(row["episode_index"])
                values = {"episode_chunk": number // self._chunk, "episode_index": number, "video_key": camera}
                yield Episode(number, self._path(values), 0, _count(row["length"]), _task(row.get("tasks")))

    def _from_parquet(self, camera: str) -> Iterator[Episode]:
        keys = {name: f"videos/{camera}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")}
        names = ["episode_index", "length", *keys.values()]
        files = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        if not files:
            raise ValueError("there is no meta/episodes/chunk-000/file-000.parquet")
        for file in files:
            for row in _read_parquet(file, names, ["tasks", f"videos/{camera}/to_timestamp"]):
                place = {name: _count(row[key]) for name, key in keys.items() if name != "from_timestamp"}
                first, frames = self._frame(row[keys["from_timestamp"]]), _count(row["length"])
                end = row.get(f"videos/{camera}/to_timestamp")
                if end is not None:  # so that no clip shows what comes after
                    frames = max(min(frames, self._frame(end) - first), 0)
                path = self._path({**place, "video_key": camera})
                yield Episode(_count(row["episode_index"]), path, first, frames, _task(row.get("tasks")))

    def _frame(self, seconds: Any) -> int:
        if not isinstance(seconds, int | float) or not 0 <= seconds * self.fps < 2**40:
            raise ValueError(f"{seconds} is no time")
        return round(seconds * self.fps)

    def _path(self, values: Mapping[str, Any]) -> str:
        """A path of the template; not by `str.format`, which would look into whatever a file names."""
        path = _FIELD.sub(lambda found: str(values[found[1]]).zfill(int(found[2] or 0)), self._template)
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"the path {path} leads out of the data set")
        return path

    def _error(self, problem: str, remedy: str) -> InvalidArgumentError:
        return InvalidArgumentError("DataModule.root", self.root, problem, remedy)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ValueError(f"{value!r} is no count")
    return value


def _task(tasks: Any) -> str:
    """The only task of an episode, "" if there is none."""
    if isinstance(tasks, list) and len(tasks) == 1 and isinstance(tasks[0], str):
        return " ".join(tasks[0].split())
    return ""


def _read_parquet(path: Path, needed: list[str], wanted: list[str]) -> Iterator[Mapping[str, Any]]:
    """Rows of a parquet file as Python values.

    Args:
        path: The file.
        needed: Columns that must be there.
        wanted: Columns that may be there.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, lacks columns, or is too large for a list of episodes.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        problem = "has its list of episodes in parquet files, and pyarrow, which reads them, is not installed"
        remedy = 'Install it with `pip install "pvdm-lightning[parquet]"`.'
        raise InvalidArgumentError("DataModule.root", path.parents[3], problem, remedy) from None
    check_regular(path)
    try:
        with parquet.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            if missing := [name for name in needed if name not in there]:
                raise ValueError(f"{path.name} has no column {missing[0]}")
            columns = [name for name in (*needed, *wanted) if name in there]
            if file.metadata.num_rows > MOST_EPISODES:
                raise ValueError(f"{path.name} has more than {MOST_EPISODES:,} episodes")
            for batch in file.iter_batches(2**12, columns=columns, use_threads=False):
                if batch.nbytes > MOST_IN_LIST:
                    raise ValueError(f"{path.name} has longer texts than any list of episodes")
                yield from batch.to_pylist()
    except ArrowException as error:
        raise ValueError(f"{path.name}: {one_line(error, 80)}") from None
