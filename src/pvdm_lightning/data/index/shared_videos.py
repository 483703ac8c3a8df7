"""Videos that are in two sets at once, under whatever names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.data.videos.file_span import FileSpan, Place, open_place
from pvdm_lightning.data.videos.frame_folder import image_names

_LOOKED_AT = 2**16
"""Bytes at the start and at the end of a file that tell most files of one size apart."""


class SharedVideo(NamedTuple):
    """A video of two sets.

    Attributes:
        first: Its place in the first one.
        second: Its place in the second one.
        is_copy: Whether it is there twice; otherwise both names, by whatever spellings and links, lead to one file.
    """

    first: int
    second: int
    is_copy: bool


def shared_videos(first: Sequence[Place], second: Sequence[Place]) -> list[SharedVideo]:
    """The videos that both sets have: one file by two names (another spelling, a link), or equal copies.

    Contents are compared only where sizes agree.

    Args:
        first: Files, spans of files, or folders of frames.
        second: As `first`.

    Returns:
        One entry for each video of `first` that is in `second`, in order.
    """
    with ThreadPoolExecutor(max_workers=num_cores()) as pool:
        sizes = [list(pool.map(_size, videos)) for videos in (first, second)]
        common = {*sizes[0]} & {*sizes[1]}
        places: dict[Hashable, list[int]] = {}
        chosen = [[place for place, size in enumerate(side) if size in common] for side in sizes]
        for place, ends in zip(chosen[1], pool.map(_ends, (second[place] for place in chosen[1]))):
            places.setdefault((sizes[1][place], ends), []).append(place)
        shared: list[SharedVideo] = []
        for place, ends in zip(chosen[0], pool.map(_ends, (first[place] for place in chosen[0]))):
            others = places.get((sizes[0][place], ends), [])
            for is_copy, agree in ((False, _is_one_file), (True, _are_copies)):
                found = next((other for other in others if agree(first[place], second[other])), None)
                if found is not None:
                    shared.append(SharedVideo(place, found, is_copy))
                    break
    return shared


def _files(video: Place) -> Sequence[Place]:
    if isinstance(video, FileSpan) or not video.is_dir():
        return [video]
    return [video / name for name in image_names(video)]


def _bytes_of(file: Place) -> int:
    return file.size if isinstance(file, FileSpan) else file.stat().st_size


def _size(video: Place) -> Hashable:
    """Number of files and bytes of the first; of what cannot be looked at its place, whatever its spelling."""
    try:
        files = _files(video)
        return len(files), _bytes_of(files[0])
    except (OSError, IndexError):
        return os.path.realpath(str(video))


def _ends(video: Place) -> bytes:
    try:
        with open_place(_files(video)[0]) as file:
            digest = hashlib.sha256(file.read(_LOOKED_AT))
            file.seek(-min(_LOOKED_AT, file.seek(0, os.SEEK_END)), os.SEEK_END)
            digest.update(file.read())
            return digest.digest()
    except (OSError, ValueError, IndexError):
        return b""


def _is_one_file(one: Place, other: Place) -> bool:
    if isinstance(one, FileSpan) or isinstance(other, FileSpan):
        return one == other
    try:
        return one.samefile(other) or _first(one).samefile(_first(other))
    except (OSError, IndexError):
        return os.path.realpath(one) == os.path.realpath(other)


def _first(video: Path) -> Path:
    return video / image_names(video)[0] if video.is_dir() else video


def _are_copies(one: Place, other: Place) -> bool:
    try:
        pairs = list(zip(_files(one), _files(other), strict=True))
        return all(_bytes_of(a) > 0 and _same_content(a, b) for a, b in pairs)
    except (OSError, ValueError):
        return False


def _same_content(one: Place, other: Place) -> bool:
    with open_place(one) as first, open_place(other) as second:
        while part := first.read(_LOOKED_AT):
            if part != second.read(_LOOKED_AT):
                return False
        return not second.read(1)
