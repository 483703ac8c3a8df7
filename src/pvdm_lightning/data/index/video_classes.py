"""The classes of videos in a folder: from a table beside them, else from the names of their folders."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pvdm_lightning.data.index.video_tables import clean_name, video_key
from pvdm_lightning.data.index.video_tree import split_folders, top_folders
from pvdm_lightning.escaping import printable

logger = logging.getLogger(__name__)

MOST_CLASSES = 10_000
MOST_DIGITS = 19
NAMED = 12
"""Classes that `summarise_classes` names with their counts; of more, the largest and the smallest."""


class Classes(NamedTuple):
    """Names of the classes, and the label of each training and each validation video: its place in them, or -1."""

    names: list[str]
    train: list[int]
    val: list[int]


def read_classes(
    root: Path, train: Sequence[str], val: Sequence[str], given: Mapping[str, str] | None = None
) -> Classes:
    """The classes of the videos of a folder.

    The class of a video is what is given; a video for which nothing is given has none. If nothing is given at all, it
    is the name of the video's folder, directly below `root` or below the folder of a split, if there are several such
    folders.

    Names are those of the training videos, sorted: by code points after Unicode normalization, or by value if all are
    whole numbers. A validation video of another class has the label -1. More than 10,000 names are no classes.

    Args:
        root: The folder.
        train: Training videos, relative to it.
        val: Validation videos.
        given: Classes that tables or files give, by `video_key`.
    """
    train, val = ([video_key(root, name) for name in names] for names in (train, val))
    class_of = _folder_classes([*train, *val]) if given is None else given
    in_train, in_val = ({class_of[name] for name in names if name in class_of} for names in (train, val))
    numbers = all(name.isascii() and name.isdecimal() and len(name) < MOST_DIGITS for name in in_train)
    names = sorted(in_train, key=(lambda name: (int(name), name)) if numbers else None)
    if len(names) > MOST_CLASSES:
        what = f"{'folders' if given is None else 'tables'} of {len(names):,} names"
        logger.warning("%s: %s are more than the %d classes that there may be: none is one", root, what, MOST_CLASSES)
        return Classes([], [-1] * len(train), [-1] * len(val))
    if only_val := sorted(in_val - in_train):
        logger.warning(
            "%d classes have no training video, such as %s: their validation videos count as without a class",
            *(len(only_val), printable(only_val[0])),
        )
    labels = {name: label for label, name in enumerate(names)}
    return Classes(names, *([labels.get(class_of.get(name, ""), -1) for name in some] for some in (train, val)))


def _folder_classes(videos: Sequence[str]) -> dict[str, str]:
    """Class of each video that is in a folder of a class."""
    splits = split_folders(videos)
    inside = {video: video.split("/", 1)[1] if splits else video for video in videos if not video.startswith("../")}
    classes = set(top_folders(list(inside.values())))
    top = ((video, name.split("/")[0]) for video, name in inside.items() if "/" in name)
    return {video: clean_name(folder) for video, folder in top if folder in classes}


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
