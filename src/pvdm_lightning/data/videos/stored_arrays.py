"""Arrays in .npy, .npz and HDF5 files: which there are, and opening one without reading it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pvdm_lightning.data.index.video_info import DecodeError, one_line, stamp_of
from pvdm_lightning.data.videos.npz import MOST_UNPACKED, map_npy, npz_headers, open_npz
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import check_regular

HDF5_SUFFIXES = (".h5", ".hdf5")
SUFFIXES = (".npy", ".npz", *HDF5_SUFFIXES)
_MOST_LABELS = 2**26


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes:
        path: The file.
        key: Its name in the file; "" of a .npy file.
        shape: Its shape.
        dtype: Its type.
        compressed: Whether it is a compressed one of a .npz file, which is unpacked as a whole for any part of it.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    compressed: bool = False

    @contextmanager
    def open(self) -> Iterator[Any]:
        """The array, memory-mapped where it can be: it has a `shape`, and gives a numpy array for an index.

        Raises:
            DecodeError: It cannot be read, there or while it is open, or is another one now.
        """
        try:
            with self._opened() as array:
                if tuple(array.shape) != self.shape or array.dtype != self.dtype:
                    raise ValueError(f"is {array.dtype} {list(array.shape)} now")
                yield array
        except (OSError, ValueError) as error:
            raise DecodeError(one_line(error)) from error

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        suffix = self.path.suffix.lower()
        if suffix == ".npy":
            yield map_npy(self.path)
        elif suffix == ".npz":
            unpacked = self.compressed
            yield _unpack(self.path, self.key, stamp_of(self.path)) if unpacked else open_npz(self.path, self.key)
        else:
            with _hdf5(self.path) as file:
                yield _checked(file[self.key])


def arrays_in(path: Path) -> list[StoredArray]:
    """The arrays of a file, in its order.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such file.
        InvalidArgumentError: It is an HDF5 file, and h5py is not installed.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        raise ValueError("is a folder that cannot be read")
    if suffix == ".npy":
        array = map_npy(path)
        return [StoredArray(path, "", array.shape, array.dtype)]
    if suffix == ".npz":
        return [StoredArray(path, key, *header) for key, header in npz_headers(path).items()]
    found: list[StoredArray] = []
    with _hdf5(path) as file:

        def look_at(name: str, entry: Any) -> None:
            try:
                found.append(StoredArray(path, name, tuple(entry.shape), entry.dtype))
            except (AttributeError, TypeError):
                return  # a group, nothing at all, or of a type that numpy lacks

        file.visititems(look_at)  # goes through no link into another file
    return found


def read_labels(array: StoredArray) -> list[str]:
    """The classes in an array of whole numbers or of text, one for each entry; "" where a number is negative.

    Raises:
        DecodeError: It cannot be read.
        ValueError: It is no such array.
    """
    text = array.dtype.kind in "US" or (array.dtype.kind == "O" and array.path.suffix.lower() in HDF5_SUFFIXES)
    if len(array.shape) > 1 or not (text or array.dtype.kind in "iu"):
        raise ValueError(f"is {array.dtype} {list(array.shape)}, not a whole number or text for each video")
    if math.prod(array.shape) * max(array.dtype.itemsize, 1) > _MOST_LABELS:
        raise ValueError(f"is {array.dtype} {list(array.shape)}, more than {_MOST_LABELS:,} bytes")
    with array.open() as opened:
        values: list[Any] = _texts_in(opened) if array.dtype.kind == "O" else np.atleast_1d(opened[()]).tolist()
    if not text:
        return ["" if value < 0 else str(value) for value in values]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _texts_in(entry: Any) -> list[Any]:
    """Texts of any length in a data set, of which all may be the same long one of a short file."""
    values: list[Any] = []
    left = _MOST_LABELS
    for place in range(entry.shape[0]) if entry.shape else [()]:
        values.append(entry[place])
        if not isinstance(values[-1], str | bytes) or (left := left - len(values[-1])) < 0:
            raise ValueError(f"is no text, or more than {_MOST_LABELS:,} letters")
    return values


@functools.lru_cache(maxsize=1)
def _unpack(path: Path, key: str, stamp: tuple[int, int]) -> np.ndarray:
    """A compressed array, kept for the next clips of it; `stamp` tells another file of the same name apart."""
    return open_npz(path, key)


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """An open HDF5 file; raises `ValueError` where the library finds a fault."""
    check_regular(path)
    module = _h5py(path)
    try:
        # Pictures come one by one, and those of one chunk shall not unpack it each time.
        with module.File(path, "r", rdcc_nbytes=2**25, locking=False) as file:
            yield file
    except (OSError, ValueError):
        raise
    except (RuntimeError, LookupError, MemoryError) as error:
        raise ValueError(one_line(error)) from error


def _checked(entry: Any) -> Any:
    """A data set, if it lies in the file itself and its parts are not too large to be read."""
    if entry.is_virtual or entry.external:
        raise ValueError(f"{entry.name} lies in other files")
    if math.prod(entry.chunks or ()) * entry.dtype.itemsize > MOST_UNPACKED:
        raise ValueError(f"{entry.name} is in chunks {list(entry.chunks)}, larger than {MOST_UNPACKED:,} bytes")
    return entry


def _h5py(path: Path) -> ModuleType:
    """The module `h5py`.

    Raises:
        InvalidArgumentError: It is not installed.
    """
    try:
        import h5py as module
    except ImportError:
        problem = "needs the package h5py, which is not installed"
        remedy = "Install it: pip install 'pvdm-lightning[hdf5]'."
        raise InvalidArgumentError("DataModule.root", path, problem, remedy) from None
    return module
