"""What tables beside videos say of them: class, split and caption, as VideoFolder data sets of the Hugging Face Hub."""

from __future__ import annotations

import csv
import io
import logging
import os
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.data.index.video_tree import MOST_IN_LIST, split_folders
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line, printable
from pvdm_lightning.foreign_files import check_regular, parse_json, read_bytes

logger = logging.getLogger(__name__)

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_COLUMN = "file_name"
CLASS_COLUMNS = ("label", "class", "class_name", "category")
"""Columns that hold the class, first one first; text in other columns, such as captions, is no class."""
SPLIT_COLUMN = "split"
CAPTION_COLUMNS = ("caption", "text", "description", "prompt")
"""Columns that hold the caption, first one first."""
LONGEST_SHOWN = 80
"""Letters of a caption that a message shows."""
MOST_TEXT = 2**16
"""Bytes of one text in a parquet file, where a single one may stand for millions of rows."""


@dataclass
class VideoTables:
    """What the tables of a folder say of its videos, by `video_key`.

    Attributes:
        classes: Class of each video; None if no table has one.
        splits: Split of each video; None if no table has one.
        captions: Caption of each video that has one.
    """

    classes: dict[str, str] | None = None
    splits: dict[str, str] | None = None
    captions: dict[str, str] = field(default_factory=dict)


def video_key(root: Path, name: str) -> str:
    """The same text for a path relative to `root`, however it is written: macOS may split accented letters."""
    relative = os.path.relpath(name, root.absolute()) if Path(name).is_absolute() else name
    return unicodedata.normalize("NFC", posixpath.normpath(Path(relative).as_posix()))


def clean_name(name: str) -> str:
    """A name as text that is the same on all platforms: names of files are bytes."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())


def read_tables(root: Path, videos: Sequence[str]) -> VideoTables:
    """Read the tables in a folder, and in the folders of its splits.

    Args:
        root: The folder.
        videos: Its videos, relative to it.

    Raises:
        InvalidArgumentError: A table cannot be read, or names a missing video, one twice, or one without a class or
            split where it has a column for that.
    """
    keys = {video_key(root, video) for video in videos}
    found = [(folder, name) for folder in ("", *sorted(split_folders(keys))) for name in TABLES]
    found = [(folder, name) for folder, name in found if (root / folder / name).is_file()]
    if len({folder for folder, _ in found}) < len(found):
        problem = f"has both {' and '.join(name for _, name in found)} in one folder"
        raise InvalidArgumentError("DataModule.root", root, problem, "Keep one of them.")
    tables, seen = VideoTables(), set[str]()
    for folder, name in found:
        table = _Table(root, posixpath.join(folder, name))
        if not table.class_column:
            logger.info("%s has no column %s: no classes are taken from it", table.path, ", ".join(CLASS_COLUMNS))
        elif tables.classes is None:
            tables.classes = {}
        if table.split_column and tables.splits is None:
            tables.splits = {}
        if not (table.class_column or table.split_column or table.caption_column):
            continue
        missing = []
        for line, file, row in table.rows():
            video = video_key(root, posixpath.join(folder, file))
            if video in seen:
                raise table.error(f"{line} names {file} again", "Keep one line per video.")
            seen.add(video)
            if table.class_column and tables.classes is not None:
                tables.classes[video] = table.name_in(row, table.class_column, line, "Give the class's name.")
            if table.split_column and tables.splits is not None:
                tables.splits[video] = table.name_in(row, table.split_column, line, "Give such as train.")
            caption = row.get(table.caption_column)
            if isinstance(caption, str) and caption.strip():
                tables.captions[video] = clean_name(caption.strip())
            if video not in keys and (video.startswith("../") or not _exists(root / folder / file)):
                missing.append(file)
        if missing:
            problem = f"names {len(missing)} videos that are not there, such as {missing[0]}"
            raise table.error(problem, "Leave their lines out; names are relative to the file's folder.")
    return tables


def summarise_captions(captions: Mapping[str, str], num_videos: int) -> str:
    """How many videos have captions, and one of these, in one line; "" if there are none."""
    if not captions:
        return ""
    name, text = next(iter(captions.items()))
    shown = f"{one_line(text, LONGEST_SHOWN)} ({printable(name)})"
    return f"captions of {len(captions)} of {num_videos} videos, such as {shown}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # what no file can be called
        return False


class _Table:
    """A table of videos.

    Args:
        root: Folder of the data set.
        name: The file, relative to it.

    Attributes:
        class_column: That holds the class; "" if there is none.
        split_column: As `class_column`, of the split.
        caption_column: As `class_column`, of the caption.

    Raises:
        InvalidArgumentError: It cannot be read, or has no names of videos.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name, self.path = root, name, root / name
        rows = {".csv": self._csv, ".jsonl": self._jsonl, ".parquet": self._parquet}[self.path.suffix]()
        self._rows = [(line, {str(key).strip().lower(): value for key, value in row.items()}) for line, row in rows]
        if not self._rows:
            raise self.error("names no videos", f"Name each in a column {FILE_COLUMN}, or delete the file.")
        columns = {key for _, row in self._rows for key in row}
        if FILE_COLUMN not in columns:
            raise self.error(f"has no column {FILE_COLUMN}", "Name each video's file in one.")
        self.class_column = next((column for column in CLASS_COLUMNS if column in columns), "")
        self.split_column = SPLIT_COLUMN if SPLIT_COLUMN in columns else ""
        self.caption_column = next((column for column in CAPTION_COLUMNS if column in columns), "")

    def rows(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """What messages call a line, file and columns of each video."""
        for line, row in self._rows:
            file = row.get(FILE_COLUMN)
            if not isinstance(file, str) or not file.strip():
                raise self.error(f"{line} has no {FILE_COLUMN}", "Name the video's file.")
            yield line, file.strip(), row

    def name_in(self, row: Mapping[str, Any], column: str, line: str, remedy: str) -> str:
        """The text or whole number in a column.

        Raises:
            InvalidArgumentError: There is none.
        """
        value = row.get(column)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise self.error(f"{line} has no text or whole number for {column}", remedy)
        name = "" if value is None else clean_name(str(value)).strip()
        if not name:
            raise self.error(f"{line} has no {column}", "Give one, or leave the line out.")
        return name

    def _text(self) -> str:
        try:
            return read_bytes(self.path, MOST_IN_LIST).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
            raise self.error(f"cannot be read ({reason})", "Give a text file in UTF-8.") from error

    def _csv(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        reader = csv.DictReader(io.StringIO(self._text(), newline=""), skipinitialspace=True, strict=True)
        try:
            for row in reader:
                yield f"line {reader.line_num}", row
        except csv.Error as error:
            raise self.error(f"is not CSV after line {reader.line_num} ({error})", "Write it anew.") from error

    def _jsonl(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for number, line in enumerate(self._text().split("\n"), 1):
            if line.strip():
                try:
                    row = parse_json(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise self.error(f"line {number} is no JSON object", "Give one object per line.")
                yield f"line {number}", row

    def _parquet(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            remedy = "Install it: pip install 'pvdm-lightning[parquet]'; or write the table as metadata.csv."
            raise self.error("needs the package pyarrow, which is not installed", remedy) from None
        number, left = 0, MOST_IN_LIST
        try:
            check_regular(self.path)
            columns = _columns_of(parquet.read_schema(self.path))
            # Texts stay a dictionary and its numbers: a short file may hold one long text millions of times.
            texts = [name for name, is_text in columns.items() if is_text]
            file = parquet.ParquetFile(self.path, read_dictionary=texts)
            for batch in file.iter_batches(batch_size=1024, columns=[*columns]):
                for column in batch.columns:
                    left -= _bytes_of(column)
                if left < 0:
                    raise ValueError(f"it has more than {MOST_IN_LIST:,} bytes of text")
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
        except InvalidArgumentError:
            raise
        except Exception as error:  # a damaged file fails in as many ways as it has fields
            reason = one_line(getattr(error, "strerror", None) or error, 80)
            raise self.error(f"cannot be read ({reason})", "Write it anew, as parquet or as metadata.csv.") from error

    def error(self, problem: str, remedy: str) -> InvalidArgumentError:
        return InvalidArgumentError("DataModule.root", self.root, f"{self.name} {problem}", remedy)


def _columns_of(schema: Any) -> dict[str, bool]:
    """The columns of a parquet file that are read, and whether each holds text.

    Raises:
        ValueError: One holds something else than text and numbers.
    """
    from pyarrow import types

    columns = {}
    for name in schema.names:
        column, kind = name.strip().lower(), schema.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        is_text = types.is_string(kind) or types.is_large_string(kind)
        if column in (FILE_COLUMN, SPLIT_COLUMN, *CLASS_COLUMNS):
            if not (is_text or types.is_primitive(kind) or types.is_null(kind)):
                raise ValueError(f"column {name} has values of type {kind}")
            columns[name] = is_text
        elif column in CAPTION_COLUMNS and is_text:
            columns[name] = True
    return columns


def _bytes_of(column: Any) -> int:
    """Bytes that the values of a column of a parquet file take as Python objects, about.

    Raises:
        ValueError: One of them is too long.
    """
    from pyarrow import compute, types

    if not types.is_dictionary(column.type):
        return 32 * len(column)
    lengths = compute.binary_length(column.dictionary)
    if (compute.max(lengths).as_py() or 0) > MOST_TEXT:
        raise ValueError(f"a text has more than {MOST_TEXT:,} bytes")
    return int(compute.sum(lengths.take(column.indices)).as_py() or 0) + 64 * len(column)
