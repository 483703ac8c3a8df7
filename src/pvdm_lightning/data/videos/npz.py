"""Files of numpy arrays: many videos in one .npz, as metric tools take them, and reading those of unknown origin."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_files import open_regular

MOST_UNPACKED = 2**28
"""Bytes of a compressed array, which is read as a whole for any part of it."""

_MOST_HEADER = 2**14
"""Bytes of a header: numpy parses 10,000, but reads as many as it claims."""


class ArrayHeader(NamedTuple):
    """What an array in a .npz file is before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    compressed: bool


def write_npz(parts: Sequence[Path], indices: Sequence[int], path: Path, metadata: Mapping[str, Any] | None) -> None:
    """Join videos of one shape, one after another: memory does not grow with their number.

    The file has `videos`, uint8 [N T H W 3], `index`, int64 [N], and `metadata`, JSON.

    Args:
        parts: .npy files uint8 [T H W 3].
        indices: Numbers of the videos.
        path: Path of the .npz file.
        metadata: Plain values; None leaves them out.
    """
    shape = np.load(parts[0], mmap_mode="r").shape
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        with _member(archive, "videos") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(parts), *shape)}
            np.lib.format.write_array_header_1_0(member, header)
            for part in parts:
                member.write(np.ascontiguousarray(np.load(part)).data)
        arrays = {"index": np.array(indices, dtype=np.int64)}
        if metadata is not None:
            arrays["metadata"] = np.array(json.dumps(metadata, sort_keys=True))
        for name, array in arrays.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # With a fixed date: the same videos make the same bytes.
    return archive.open(zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0)), "w", force_zip64=True)


def map_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is no such file, or claims another size than it has.
    """
    with open_regular(path) as file:
        return _map(file)


def _map(file: IO[bytes]) -> np.ndarray:
    """The array whose header is where a file is read next."""
    shape, in_fortran_order, dtype = _read_header(file)
    start, size = file.tell(), file.seek(0, io.SEEK_END)
    if 0 in shape or start + math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"is {dtype} {list(shape)}, and the file has {size:,} bytes")
    return np.memmap(file, dtype, "r", start, shape, "F" if in_fortran_order else "C")


def npz_headers(path: Path) -> dict[str, ArrayHeader]:
    """Shape and type of each array of a .npz file, in the order of the file; arrays of Python objects are left out.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is no such file.
    """
    headers = {}
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".npy"):
                        with archive.open(member) as stream:
                            try:
                                shape, _, dtype = _read_header(stream)
                            except ValueError:
                                continue
                        compressed = member.compress_type != zipfile.ZIP_STORED
                        headers[member.filename.removesuffix(".npy")] = ArrayHeader(shape, dtype, compressed)
        except OSError:
            raise
        except Exception as error:  # a damaged archive fails in as many ways as it has fields
            raise ValueError(one_line(error) or type(error).__name__) from error
    return headers


def open_npz(path: Path, name: str) -> np.ndarray:
    """An array of a .npz file: memory-mapped if it is stored as `np.savez` does, unpacked if it is compressed.

    Raises:
        OSError: The file cannot be read, or is no regular file.
        ValueError: It is damaged, the array claims another size than it has, or is too large to be unpacked.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                member = archive.getinfo(f"{name}.npy")
                if member.compress_type == zipfile.ZIP_STORED:
                    file.seek(member.header_offset + 26)
                    lengths = file.read(4)  # of the name and of further fields, of which those at the end know nothing
                    sizes = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
                    file.seek(member.header_offset + 30 + sizes)
                    return _map(file)
                if member.compress_type != zipfile.ZIP_DEFLATED or member.file_size > MOST_UNPACKED:
                    problem = f"{name} is compressed and has {member.file_size:,} bytes, of which {MOST_UNPACKED:,} are"
                    raise ValueError(f"{problem} read at most: write it with np.savez or np.save")
                with archive.open(member) as stream:
                    return _unpack(name, stream.read(member.file_size))  # whatever it has, no more
        except (OSError, ValueError):
            raise
        except Exception as error:  # as above
            raise ValueError(one_line(error) or type(error).__name__) from error


def read_npz(path: Path, names: Sequence[str], most: int | None = None) -> dict[str, np.ndarray]:
    """Arrays of a .npz file; those that are not in it are left out.

    An array takes no more memory than the file has bytes.

    Args:
        path: Path of the file.
        names: Names of the arrays.
        most: Bytes that one may have; None for any number.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is damaged, or an array claims another size than it has.
    """
    with open_regular(path) as file:
        size = file.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                return {name: _read_member(archive, name, size, most) for name in names if _has(archive, name)}
        except (OSError, ValueError):
            raise
        except Exception as error:  # a damaged archive fails in as many ways as it has fields
            raise ValueError(one_line(error) or type(error).__name__) from error


def _has(archive: zipfile.ZipFile, name: str) -> bool:
    return f"{name}.npy" in archive.NameToInfo


def _read_member(archive: zipfile.ZipFile, name: str, size: int, most: int | None) -> np.ndarray:
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > min(size, most or size):
        raise ValueError(f"{name} claims more than the file holds")
    return _unpack(name, archive.read(member)).copy()


def _unpack(name: str, content: bytes) -> np.ndarray:
    """The array, read-only, of the bytes of a .npy file."""
    stream = io.BytesIO(content)
    shape, in_fortran_order, dtype = _read_header(stream)
    data = stream.read()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name} claims another size than it has")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_fortran_order else "C")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array of plain values.

    Raises:
        ValueError: The header is damaged, or of an array of Python objects.
    """
    start, head = stream.tell(), io.BytesIO(stream.read(_MOST_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"is of version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_fortran_order, dtype = read(head)
    except Exception as error:  # numpy parses the header as Python, which ends in as many errors as that has
        raise ValueError(f"has no header of an array ({one_line(error, 80)})") from error
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError(f"is {dtype} {list(shape)}, no array of plain values")
    stream.seek(start + head.tell())
    return shape, in_fortran_order, dtype
