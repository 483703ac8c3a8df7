"""The members of tar and zip files: which there are, and where in the file each lies. Nothing is unpacked."""

from __future__ import annotations

import io
import logging
import os
import posixpath
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pvdm_lightning.data.index.video_tree import NO_DATA
from pvdm_lightning.data.videos.file_span import DEFLATED, ENCRYPTED, STORED, FileSpan
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import open_regular

logger = logging.getLogger(__name__)

MOST_MEMBERS = 2**20
"""Members of one archive; published shards have thousands."""
MOST_IN_HEADER = {".tar": 2**20, ".zip": 2**27}
"""Bytes that are read of an archive at once: of a tar one header, of a zip its whole directory."""
_PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_LOCAL_HEADER = struct.Struct("<4s22x2H")  # signature, lengths of the name and of the extra field
_PACKINGS = {zipfile.ZIP_STORED: STORED, zipfile.ZIP_DEFLATED: DEFLATED}


def read_members(path: Path, wanted: Callable[[str], bool]) -> dict[str, FileSpan]:
    """Where the files in an archive lie; of several by one name the last, as in unpacking.

    Links, devices and hidden files are left out, and names that lead out of the folder of the archive.

    Args:
        path: The archive.
        wanted: Whether a file is looked for, by its name without folders.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none, is compressed as a whole, or has more members than there may be.
    """
    read = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    found: dict[str, FileSpan] = {}
    with open_regular(path) as file:
        for number, (name, span) in enumerate(read(path, file)):
            if number == MOST_MEMBERS:
                raise ValueError(f"has more than {MOST_MEMBERS:,} members")
            kept = _kept_name(name)
            if kept and wanted(posixpath.basename(kept)):
                found[kept] = span
    return found


def _kept_name(name: str) -> str:
    """A member's name as a relative path, as in `video_classes`; "" if it is hidden or leads out of the archive."""
    name = unicodedata.normalize("NFC", posixpath.normpath(name.replace("\0", "").lstrip("/")))
    return "" if any(part.startswith(".") or part.lower() in NO_DATA for part in name.split("/")) else name


def _tar_members(path: Path, file: IO[bytes]) -> Iterator[tuple[str, FileSpan]]:
    head = file.read(6)
    if packer := next((packer for sign, packer in _PACKERS.items() if head.startswith(sign)), None):
        raise ValueError(f"is compressed as a whole ({packer}), so that nothing in it can be read by itself")
    file.seek(0)
    errors = (tarfile.TarError, RecursionError, OverflowError, ValueError, LookupError, struct.error)
    size, end = os.fstat(file.fileno()).st_size, -1
    try:
        archive = tarfile.open(fileobj=_SmallReads(file, MOST_IN_HEADER[".tar"]), mode="r:")  # noqa: SIM115
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
            if member.offset_data <= end:
                raise tarfile.ReadError("its members overlap")
            end = member.offset_data
            if member.isreg() and not member.issparse():
                yield member.name, FileSpan(path, member.offset_data, member.size)
            if member.offset_data + member.size > size:
                raise tarfile.ReadError("it ends within a member")
    except errors as error:
        if end < 0:
            raise ValueError(f"is no tar file ({one_line(error, 80)})") from None
        # What comes before can be read. The last member is cut; so it is named when it is opened.
        logger.warning("%s is damaged or cut (%s): it is used up to there", path, one_line(error, 80))


def _zip_members(path: Path, file: IO[bytes]) -> Iterator[tuple[str, FileSpan]]:
    try:
        members = zipfile.ZipFile(_SmallReads(file, MOST_IN_HEADER[".zip"])).infolist()
    except OSError:
        raise
    except Exception as error:  # a damaged archive fails in as many ways as it has fields
        raise ValueError(f"is no zip file ({one_line(error, 80) or type(error).__name__})") from None
    size = os.fstat(file.fileno()).st_size
    for member in members:
        if member.is_dir():
            continue
        packing = ENCRYPTED if member.flag_bits & 1 else _PACKINGS.get(member.compress_type, member.compress_type)
        offset = size  # which is said of a member whose header is not there
        if 0 <= member.header_offset < size:
            file.seek(member.header_offset)
            header = file.read(_LOCAL_HEADER.size)
            if len(header) == _LOCAL_HEADER.size and header.startswith(b"PK\x03\x04"):
                _, name, extra = _LOCAL_HEADER.unpack(header)
                offset = member.header_offset + _LOCAL_HEADER.size + name + extra
        yield member.filename, FileSpan(path, offset, member.compress_size, packing)


class _SmallReads(io.RawIOBase):
    """A file that gives no more than some bytes at once: headers claim any size.

    Args:
        file: The file.
        most: How many bytes.
    """

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > self._most:
            content = self._file.read(self._most + 1)
            if len(content) > self._most:
                raise ValueError(f"a header has more than {self._most:,} bytes")
            return content
        return self._file.read(size)
