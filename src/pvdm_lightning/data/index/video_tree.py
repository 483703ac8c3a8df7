"""Any folder tree of videos: which there are, which of them validate."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pvdm_lightning.data.output.contact_sheet import CONTACT_SHEET
from pvdm_lightning.data.videos.frame_folder import is_image
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import read_bytes

MOST_IN_LIST = 2**29
"""Bytes of a list of videos: five million paths of a hundred letters."""
VIDEO_SUFFIXES = (
    *(".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv"),
    *(".flv", ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".asf", ".divx", ".vob"),
)
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test", "testing")}
"""Names of top-level folders, in lower case, that hold the videos of a split."""
NO_DATA = frozenset(
    (
        *("$recycle.bin", "recycler", "recycled", "system volume information", "$extend", "$winreagent", "found.000"),
        *("#recycle", "#snapshot", "@eadir", "@tmp", "@sharebin", "@sharesnap"),  # Synology
        *("@recycle", "@recently-snapshot", "@__thumb", "@transcode", "@downloadstationtempfiles"),  # QNAP
        *("__macosx", "temporary items", "network trash folder", "desktop folder", "thevolumesettingsfolder"),  # macOS
        *("lost+found", "~snapshot", "_gsdata_", "files_trashbin", "files_versions", "trash-0", "trash-1000"),
    )
)
"""Folders that file systems, file managers and network disks make for deleted files, snapshots and thumbnails, in
lower case. Those with a dot in front are left out in any case."""


def is_video(name: str) -> bool:
    """Whether a file name is a video's; macOS's ``._name`` companions are not."""
    return name.lower().endswith(VIDEO_SUFFIXES) and not name.startswith(".")


def find_videos(root: Path) -> list[str]:
    """Paths of the video files below a folder, relative to it, sorted; folders that cannot be read are among them."""
    closed: list[str] = []
    found = [f"{folder}/{name}" for folder, names in _walk(root, closed) for name in names if is_video(name)]
    return _sorted([*found, *closed])


def find_frame_folders(root: Path) -> list[str]:
    """Paths of the folders below a folder that hold pictures, relative to it, sorted; or cannot be read."""
    closed: list[str] = []
    found = [folder for folder, names in _walk(root, closed) if any(_is_frame(name) for name in names)]
    return _sorted([*found, *closed])


def _is_frame(name: str) -> bool:
    return is_image(name) and name != CONTACT_SHEET  # which `pvdm predict` puts beside folders of frames


def find_arrays(root: Path) -> list[str]:
    """Paths of the .npy files below a folder, relative to it, sorted."""
    return _sorted(f"{folder}/{name}" for folder, names in _walk(root) for name in names if _is_array(name))


def find_array_files(root: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Paths of the files with these suffixes below a folder, relative to it, sorted, as `find_videos`."""
    closed: list[str] = []
    walked = ((folder, name) for folder, names in _walk(root, closed) for name in names if not name.startswith("."))
    found = [f"{folder}/{name}" for folder, name in walked if name.lower().endswith(suffixes)]
    return _sorted([*found, *closed])


def _is_array(name: str) -> bool:
    return name.lower().endswith(".npy") and not name.startswith(".")


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(name.removeprefix("./") for name in names)


def _walk(root: Path, closed: list[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Each folder, relative to `root`, and its files; goes through links to folders, but into no folder twice.

    Folders that cannot be read are added to `closed`.
    """

    def note(error: OSError) -> None:
        if closed is not None and error.filename is not None:
            closed.append(Path(error.filename).relative_to(root).as_posix())

    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=note, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not (name.startswith(".") or name.lower() in NO_DATA))
        yield Path(folder).relative_to(root).as_posix(), files


def hold_out(names: Sequence[str], fraction: float) -> tuple[list[str], list[str]]:
    """Part videos into those to train on and those to validate on.

    Which side a video is on follows from its own path alone, so that videos added later move none of the others.

    Args:
        names: Relative paths.
        fraction: The share to validate on, between 0 and 1.

    Returns:
        (training, validation), neither empty; a single video is on both sides.
    """
    if len(names) < 2:
        return list(names), list(names)
    keys = [int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") for name in names]
    limit = min(max(fraction * 2.0**64, min(keys) + 1), max(keys))
    return (
        [name for name, key in zip(names, keys) if key >= limit],
        [name for name, key in zip(names, keys) if key < limit],
    )


def top_folders(names: Sequence[str]) -> list[str]:
    """The top-level folders of these paths if there are several, else none: a lone folder tells nothing apart."""
    folders = sorted({name.split("/")[0] for name in names if "/" in name})
    return folders if len(folders) > 1 else []


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """The top-level folders if they are those of splits, each with its split, "train" or "val"; else none.

    All paths must be in such folders, and one of them in that of the training videos.
    """
    folders = {name.split("/")[0] if "/" in name else "" for name in names}
    splits = {folder: split for split, known in SPLITS.items() for folder in folders if folder.lower() in known}
    return splits if splits.keys() == folders and "train" in splits.values() else {}


def split_by_folders(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Training and validation videos by the folders of their splits; None if there are no such folders.

    Of several folders to validate on, the first of `SPLITS` is taken.

    Args:
        names: Relative paths.
    """
    splits = split_folders(names)
    by_split = {split: [f for f in splits if splits[f] == split] for split in SPLITS}
    if not all(by_split.values()):
        return None
    chosen = min(by_split["val"], key=lambda folder: SPLITS["val"].index(folder.lower()))
    return (
        [name for name in names if splits[name.split("/")[0]] == "train"],
        [name for name in names if name.split("/")[0] == chosen],
    )


def read_list(argument: str, path: str) -> list[str]:
    """Read a list of relative paths, one per line; blank lines are skipped.

    Raises:
        InvalidArgumentError: If there is no such file, it is no text in UTF-8, or there is nothing in it.
    """
    try:
        lines = read_bytes(path, MOST_IN_LIST).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", error)
        raise InvalidArgumentError(
            f"DataModule.{argument}", path, f"cannot be read ({reason})", "Give a text file."
        ) from error
    names = [Path(line.strip()).as_posix() for line in lines if line.strip()]
    if not names:
        raise InvalidArgumentError(
            f"DataModule.{argument}", path, "is empty", "Give one path a line, relative to DataModule.root."
        )
    return names
