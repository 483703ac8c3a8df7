"""Videos that are in two sets at once, under whatever names."""

from __future__ import annotations

import filecmp
import hashlib
import os
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pvdm_lightning.data.index.build_index import num_cores
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


def shared_videos(first: Sequence[Path], second: Sequence[Path]) -> list[SharedVideo]:
    """The videos that both sets have: one file by two names (another spelling, a link), or equal copies.

    Contents are compared only where sizes agree.

    Args:
        first: Files or folders of frames.
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


def _files(video: Path) -> list[Path]:
    return [video / name for name in image_names(video)] if video.is_dir() else [video]


def _size(video: Path) -> Hashable:
    """Number of files and bytes of the first; of what cannot be looked at its place, whatever its spelling."""
    try:
        files = _files(video)
        return len(files), files[0].stat().st_size
    except (OSError, IndexError):
        return os.path.realpath(video)


def _ends(video: Path) -> bytes:
    try:
        with _files(video)[0].open("rb") as file:
            digest = hashlib.sha256(file.read(_LOOKED_AT))
            file.seek(-min(_LOOKED_AT, file.seek(0, os.SEEK_END)), os.SEEK_END)
            digest.update(file.read())
            return digest.digest()
    except (OSError, IndexError):
        return b""


def _is_one_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) or _files(one)[0].samefile(_files(other)[0])
    except (OSError, IndexError):
        return os.path.realpath(one) == os.path.realpath(other)


def _are_copies(one: Path, other: Path) -> bool:
    try:
        pairs = list(zip(_files(one), _files(other), strict=True))
        return all(a.stat().st_size > 0 and filecmp.cmp(a, b, shallow=False) for a, b in pairs)
    except (OSError, ValueError):
        return False
