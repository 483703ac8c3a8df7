"""Reading files of unknown origin: regular files alone, no more of them than a limit, and never as code."""

from __future__ import annotations

import errno
import json
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

MOST_JSON = 2**22
"""Bytes of a description such as config.json or cache.json."""
MOST_PICKLE = 2**25
"""Bytes that describe the tensors of a checkpoint; a large one with its optimizer has a tenth of that."""


def check_regular(path: str | Path) -> None:
    """Raise `OSError` unless a path leads to a regular file: a device has no end, and a pipe may never begin."""
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(path))


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        OSError: It cannot be opened, or is a folder, a device or a pipe.
    """
    check_regular(path)
    # Without blocking: it may have become a pipe since.
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return file


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It has more than `most` bytes.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{Path(path).name} has more than {most:,} bytes")
    return content


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is none, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def read_json(path: str | Path, most: int = MOST_JSON) -> Any:
    """The value in a JSON file; raises as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path, most))


def load_tensors(path: str | Path) -> Any:
    """What `torch.save` wrote: tensors, memory-mapped where the format allows it, and plain values.

    Nothing in the file runs.

    Raises:
        OSError: It cannot be read.
        Exception: It is damaged, holds something else, or claims more than it holds.
    """
    with open_regular(path) as file:
        is_archive = file.read(4) == b"PK\x03\x04"  # as torch tells the two formats apart
        if is_archive:
            _check_archive(file)
        size = os.fstat(file.fileno()).st_size
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    # An expanded view claims any size, and takes it as soon as it is copied.
    if sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content)) > 4 * size:
        raise ValueError("its tensors claim more than the file holds")
    return content


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)


def _check_archive(file: IO[bytes]) -> None:
    """Raise `ValueError` if an archive has compressed or overlapping parts: they take more memory than the file."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
        raise ValueError("it claims more than the file holds")
    if any(part.file_size > MOST_PICKLE for part in parts if part.filename.endswith(".pkl")):
        raise ValueError("it describes more tensors than any checkpoint has")
