"""The classes of videos in a folder: from a table beside them, else from the names of their folders."""

from __future__ import annotations

import csv
import io
import logging
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pvdm_lightning.data.index.video_tree import MOST_IN_LIST, split_folders, top_folders
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import printable
from pvdm_lightning.foreign_files import parse_json, read_bytes

logger = logging.getLogger(__name__)

TABLES = ("metadata.csv", "metadata.jsonl")
"""Names of the tables, those of the VideoFolder data sets of the Hugging Face Hub."""
FILE_COLUMN = "file_name"
CLASS_COLUMNS = ("label", "class", "class_name", "category")
"""Columns that hold the class, first one first; text in other columns, such as captions, is no class."""
MOST_CLASSES = 10_000
MOST_DIGITS = 19
NAMED = 12
"""Classes that `summarise_classes` names with their counts; of more, the largest and the smallest."""


class Classes(NamedTuple):
    """Names of the classes, and the label of each training and each validation video: its place in them, or -1."""

    names: list[str]
    train: list[int]
    val: list[int]


def read_classes(root: Path, train: Sequence[str], val: Sequence[str]) -> Classes:
    """The classes of the videos of a folder.

    If there is a `metadata.csv` or `metadata.jsonl` with classes in `root` or in the folders of its splits, the class
    of a video is what that says, and a video that is not in it has none. Otherwise it is the name of the video's
    folder, directly below `root` or below the folder of a split, if there are several such folders.

    Names are those of the training videos, sorted: by code points after Unicode normalization, or by value if all are
    whole numbers. A validation video of another class has the label -1. More than 10,000 names are no classes.

    Args:
        root: The folder.
        train: Training videos, relative to it.
        val: Validation videos.

    Raises:
        InvalidArgumentError: A table cannot be read, or names a missing video, one twice, or one without a class.
    """
    train, val = ([_key(root, name) for name in names] for names in (train, val))
    table = _read_tables(root, [*train, *val])
    class_of = _folder_classes([*train, *val]) if table is None else table
    in_train, in_val = ({class_of[name] for name in names if name in class_of} for names in (train, val))
    numbers = all(name.isascii() and name.isdecimal() and len(name) < MOST_DIGITS for name in in_train)
    names = sorted(in_train, key=(lambda name: (int(name), name)) if numbers else None)
    if len(names) > MOST_CLASSES:
        what = f"{'folders' if table is None else 'tables'} of {len(names):,} names"
        logger.warning("%s: %s are more than the %d classes that there may be: none is one", root, what, MOST_CLASSES)
        return Classes([], [-1] * len(train), [-1] * len(val))
    if only_val := sorted(in_val - in_train):
        logger.warning(
            "%d classes have no training video, such as %s: their validation videos count as without a class",
            *(len(only_val), printable(only_val[0])),
        )
    labels = {name: label for label, name in enumerate(names)}
    return Classes(names, *([labels.get(class_of.get(name, ""), -1) for name in some] for some in (train, val)))


def _key(root: Path, name: str) -> str:
    """The same text for a path relative to `root`, however it is written: macOS may split accented letters."""
    relative = os.path.relpath(name, root.absolute()) if Path(name).is_absolute() else name
    return unicodedata.normalize("NFC", posixpath.normpath(Path(relative).as_posix()))


def _folder_classes(videos: Sequence[str]) -> dict[str, str]:
    """Class of each video that is in a folder of a class."""
    splits = split_folders(videos)
    inside = {video: video.split("/", 1)[1] if splits else video for video in videos if not video.startswith("../")}
    classes = set(top_folders(list(inside.values())))
    top = ((video, name.split("/")[0]) for video, name in inside.items() if "/" in name)
    return {video: _clean(folder) for video, folder in top if folder in classes}


def _clean(name: str) -> str:
    """A class's name as text that is the same on all platforms: names of files are bytes."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # what no file can be called
        return False


def _read_tables(root: Path, videos: Sequence[str]) -> dict[str, str] | None:
    """Class of each video in the tables of a folder; None if there is none with classes."""
    found = [(folder, name) for folder in ("", *sorted(split_folders(videos))) for name in TABLES]
    found = [(folder, name) for folder, name in found if (root / folder / name).is_file()]
    if len({folder for folder, _ in found}) < len(found):
        problem = f"has both {' and '.join(TABLES)} in one folder"
        raise InvalidArgumentError("DataModule.root", root, problem, "Keep one of them.")
    tables = [(folder, _Table(root, posixpath.join(folder, name))) for folder, name in found]
    for _, table in tables:
        if not table.column:
            logger.info("%s has no column %s: no classes are taken from it", table.path, ", ".join(CLASS_COLUMNS))
    tables = [(folder, table) for folder, table in tables if table.column]
    class_of: dict[str, str] = {}
    known = set(videos)
    for folder, table in tables:
        missing = []
        for file, class_name, line in table.rows():
            video = _key(root, posixpath.join(folder, file))
            if video in class_of:
                raise table.error(f"line {line} names {file} again", "Keep one line per video.")
            if not class_name:
                raise table.error(f"line {line} has no {table.column}", "Give one, or leave the line out.")
            class_of[video] = class_name
            if video not in known and (video.startswith("../") or not _exists(root / folder / file)):
                missing.append(file)
        if missing:
            problem = f"names {len(missing)} videos that are not there, such as {missing[0]}"
            raise table.error(problem, "Leave their lines out; names are relative to the file's folder.")
    return class_of if tables else None


class _Table:
    """A table of videos.

    Args:
        root: Folder of the data set.
        name: The file, relative to it.

    Attributes:
        column: That holds the class; "" if there is none.

    Raises:
        InvalidArgumentError: It cannot be read, or has no names of videos.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name, self.path = root, name, root / name
        try:
            text = read_bytes(self.path, MOST_IN_LIST).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
            raise self.error(f"cannot be read ({reason})", "Give a text file in UTF-8.") from error
        lines = self._csv(text) if name.endswith(".csv") else self._jsonl(text)
        self._lines = [(line, {str(key).strip().lower(): value for key, value in row.items()}) for line, row in lines]
        if not self._lines:
            raise self.error("names no videos", f"Name each in a column {FILE_COLUMN}, or delete the file.")
        columns = {key for _, row in self._lines for key in row}
        if FILE_COLUMN not in columns:
            raise self.error(f"has no column {FILE_COLUMN}", "Name each video's file in one.")
        self.column = next((column for column in CLASS_COLUMNS if column in columns), "")

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """File, class and line number of each video; the class is "" if it is not given."""
        for line, row in self._lines:
            file = row.get(FILE_COLUMN)
            if not isinstance(file, str) or not file.strip():
                raise self.error(f"line {line} has no {FILE_COLUMN}", "Name the video's file.")
            value = row.get(self.column)
            if isinstance(value, bool) or not isinstance(value, str | int | None):
                raise self.error(f"line {line} has no text or whole number for {self.column}", "Give the class's name.")
            yield file.strip(), "" if value is None else _clean(str(value)).strip(), line

    def _csv(self, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise self.error(f"is not CSV after line {reader.line_num} ({error})", "Write it anew.") from error

    def _jsonl(self, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    row = parse_json(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise self.error(f"line {number} is no JSON object", "Give one object per line.")
                yield number, row

    def error(self, problem: str, remedy: str) -> InvalidArgumentError:
        return InvalidArgumentError("DataModule.root", self.root, f"{self.name} {problem}", remedy)


def summarise_classes(names: Sequence[str], labels: Iterable[int]) -> str:
    """The classes with the number of their videos in one line; "" if there are none.

    Args:
        names: Their names.
        labels: Label of each video.
    """
    if not names:
        return ""
    counts = Counter(labels)
    shown = list(range(len(names)))
    if len(shown) > NAMED:
        by_size = sorted(shown, key=lambda label: -counts[label])
        shown = [*by_size[: NAMED // 2], *by_size[-NAMED // 2 :]]
    parts = [f"{printable(names[label])} {counts[label]}" for label in shown]
    if len(shown) < len(names):
        parts.insert(NAMED // 2, "...")
    without = sum(number for label, number in counts.items() if not 0 <= label < len(names))
    line = f"{len(names)} class{'es' * (len(names) > 1)}: {', '.join(parts)}"
    return line + (f"; {without} videos without one" if without else "")
