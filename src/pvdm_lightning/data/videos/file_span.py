"""Videos inside of larger files: the bytes of a member of an archive, read where they lie."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np

from pvdm_lightning.data.index.video_info import stamp_of
from pvdm_lightning.foreign_files import open_regular

STORED, DEFLATED, ENCRYPTED = 0, 8, -1
"""How a span is packed: by zip's own numbers, of which others are not read."""
MOST_INFLATED = 2**27
"""Bytes of a deflated video, which is read into memory whole for each clip of it."""
SPAN = np.dtype([("file", "<i4"), ("offset", "<i8"), ("size", "<i8"), ("packing", "<i4")])


class FileSpan(NamedTuple):
    """A stretch of a file that is a file by itself.

    Attributes:
        path: Path of the file it lies in.
        offset: Where it starts there, in bytes.
        size: Bytes it takes there.
        packing: `STORED`, or how it is packed.
    """

    path: Path
    offset: int
    size: int
    packing: int = STORED


Place: TypeAlias = Path | FileSpan
"""Where the bytes of a video are."""


class FileSpans(Sequence[FileSpan]):
    """Many spans in little memory, as `Names` are many names.

    Args:
        files: The files they lie in.
        lines: `SPAN` array; ``file`` is a place in `files`.
    """

    def __init__(self, files: Sequence[Path], lines: np.ndarray) -> None:
        self.files, self.lines = files, lines

    @classmethod
    def of(cls, spans: Sequence[FileSpan]) -> FileSpans:
        """These spans, in order."""
        numbers: dict[Path, int] = {}
        rows = [(numbers.setdefault(s.path, len(numbers)), s.offset, s.size, s.packing) for s in spans]
        return cls(list(numbers), np.array(rows, dtype=SPAN))

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return FileSpans(self.files, self.lines[row])
        file, offset, size, packing = self.lines[row].tolist()
        return FileSpan(self.files[file], offset, size, packing)

    def stamps(self) -> tuple[np.ndarray, np.ndarray]:
        """Size in bytes of each, and time of the last change of its file in nanoseconds: int64 [N] both."""
        changed = np.array([stamp_of(file)[1] for file in self.files], dtype=np.int64)
        return self.lines["size"], changed[self.lines["file"]]


def open_place(place: Place) -> IO[bytes]:
    """Open the bytes of a video for reading.

    Raises:
        OSError: The file cannot be opened, or is no regular one.
        ValueError: The span is not wholly in its file, or is packed in a way that is not read.
    """
    if not isinstance(place, FileSpan):
        return open_regular(place)
    file = open_regular(place.path)
    try:
        if place.offset < 0 or place.size < 0 or place.offset + place.size > os.fstat(file.fileno()).st_size:
            raise ValueError(f"is cut: {place.path.name} ends within it")
        window = io.BufferedReader(_Window(file, place.offset, place.size), 2**16)
        if place.packing == STORED:
            return window
        with window:
            return io.BytesIO(_inflate(window, place.packing))
    except BaseException:
        file.close()
        raise


def _inflate(window: IO[bytes], packing: int) -> bytes:
    if packing != DEFLATED:
        problem = "is encrypted" if packing == ENCRYPTED else "is compressed by a method that is not read"
        raise ValueError(f"{problem}; make the archive anew with `zip -0`")
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = window.read(MOST_INFLATED + 1)
    try:
        content = stream.decompress(packed, MOST_INFLATED)
    except zlib.error as error:
        raise ValueError(f"is damaged ({error})") from None
    if stream.eof:
        return content
    if max(len(content), len(packed)) < MOST_INFLATED:
        raise ValueError("is damaged (its compressed data is cut)")
    raise ValueError(f"is compressed and has more than {MOST_INFLATED:,} bytes; make the archive anew with `zip -0`")


class _Window(io.RawIOBase):
    """A stretch of an open file, as a file; closing it closes that one."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._position = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        position += {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if position < 0:
            raise ValueError("negative seek position")
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(self._size - self._position, 0)]
        self._file.seek(self._offset + self._position)
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._position += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
