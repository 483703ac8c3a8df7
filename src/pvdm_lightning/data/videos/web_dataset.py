"""Videos in tar shards as WebDataset writes them, and in zip files: what is in them and of which class each is.

Files of one stem are a sample: ``000.mp4`` has its class in ``000.cls`` or ``000.json``. A stem is a name up to its
first dot, with the folders before it.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.data.index.archives import read_members
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.index.video_tables import CLASS_COLUMNS
from pvdm_lightning.data.index.video_tree import SPLITS, find_archives, is_video
from pvdm_lightning.data.videos.file_span import FileSpan, open_place
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import parse_json

MOST_OF_SAMPLE = 2**20
"""Bytes of what is beside a video; a longer text is no class."""
_SPLIT = re.compile(rf"({'|'.join(name for names in SPLITS.values() for name in names)})(?![a-z])", re.IGNORECASE)


@dataclass
class ArchivedVideos:
    """The videos in the archives of a folder, by name: that of the archive, then that of the member.

    Attributes:
        spans: Where each lies.
        unpacked: Where each would be if the archives were unpacked into the folders that they are in, below the folder
            that all of them are in. An archive whose name starts with that of a split, such as train-000.tar, is
            unpacked into a folder of that name.
        classes: Class of each that has one.
        numbers: Numbers that .cls files give to the classes.
    """

    spans: dict[str, FileSpan] = field(default_factory=dict)
    unpacked: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, set[int]] = field(default_factory=dict)


def find_archived_videos(root: Path) -> ArchivedVideos:
    """The videos in the tar and zip files below a folder.

    Raises:
        InvalidArgumentError: An archive cannot be read, or there are no videos in any.
    """
    archives = find_archives(root)
    found = ArchivedVideos()
    with ThreadPoolExecutor(max_workers=num_cores()) as pool:
        for archive, videos in zip(archives, pool.map(lambda archive: _read_archive(root, archive), archives)):
            folder, base = posixpath.split(archive)
            split = _SPLIT.match(base)
            for name, (span, named, number) in videos.items():
                video = f"{archive}/{name}"
                found.spans[video] = span
                found.unpacked[video] = posixpath.join(folder, split[1].lower() if split else "", name)
                if named:
                    found.classes[unicodedata.normalize("NFC", video)] = named
                    found.numbers.setdefault(named, set()).update(() if number is None else (number,))
    if not found.spans:
        problem = "there are no tar or zip files in it" if not archives else "there are no videos in its archives"
        raise InvalidArgumentError("DataModule.root", root, problem, "See data/README.md for what is read.")
    # Archives of a whole data set often have it in a folder of its name.
    common = posixpath.commonpath([posixpath.dirname(place) for place in found.unpacked.values()])
    found.unpacked = {name: posixpath.relpath(place, common or ".") for name, place in found.unpacked.items()}
    return found


def _read_archive(root: Path, archive: str) -> dict[str, tuple[FileSpan, str, int | None]]:
    """Span, class ("" if unknown) and number of the class of each video in an archive."""
    try:
        members = read_members(root / archive, _is_of_sample)
    except (OSError, ValueError) as error:
        problem = f"{archive} {error if isinstance(error, ValueError) else f'cannot be read ({error.strerror})'}"
        remedy = "Get it anew, or move it away."
        if "compressed as a whole" in problem:
            remedy = "Unpack it to a plain tar file, such as with gunzip or unzstd."
        raise InvalidArgumentError("DataModule.root", root, problem, remedy) from None
    beside: dict[str, dict[str, FileSpan]] = {}
    for name, span in members.items():
        if not is_video(name):
            stem, suffix = _stem(name)
            beside.setdefault(stem, {})[suffix] = span
    known = {stem: _class_of(files) for stem, files in beside.items()}
    return {name: (span, *known.get(_stem(name)[0], ("", None))) for name, span in members.items() if is_video(name)}


def _is_of_sample(name: str) -> bool:
    return is_video(name) or _stem(name)[1] in ("cls", "json")


def _stem(name: str) -> tuple[str, str]:
    """The stem of a sample's file, and the rest of the name in lower case."""
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _class_of(files: dict[str, FileSpan]) -> tuple[str, int | None]:
    """The class of a sample, "" if it has none, and the number of the class: a text of the JSON, else the number."""
    try:
        columns = parse_json(_read(files["json"])) if "json" in files else None
    except ValueError:
        columns = None
    columns = columns if isinstance(columns, dict) else {}
    text = _read(files["cls"]).strip() if "cls" in files else ""
    given = [value for key in CLASS_COLUMNS if _is_class(value := columns.get(key))]
    named = next((value for value in given if isinstance(value, str)), None)
    number = next((value for value in (_number(text), *given) if isinstance(value, int)), None)
    name = named if named is not None else str(number) if number is not None else text
    return unicodedata.normalize("NFC", " ".join(name.split())), number


def _is_class(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _read(span: FileSpan) -> str:
    """The text of a file beside a video; "" if it is none."""
    try:
        with open_place(span) as file:
            content = file.read(MOST_OF_SAMPLE + 1)
        return content.decode("utf-8-sig") if len(content) <= MOST_OF_SAMPLE else ""
    except (OSError, ValueError):
        return ""
