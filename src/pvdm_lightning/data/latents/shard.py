"""A shard of a cache, read without being mapped into memory: a file that is cut meanwhile is an error, no crash."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.foreign_files import open_regular, parse_json

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "BOOL": torch.bool,
}
"""Types of tensors in a safetensors file that are read."""
_MOST_HEADER = 10**8


class Stored(NamedTuple):
    """A tensor in the file: its type and shape, and where its bytes are."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Shard:
    """A safetensors file that is read piece by piece; its descriptor stays open.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no such file, or shorter than it says.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_regular(path)
        self.metadata: dict[str, str] = {}
        self.tensors: dict[str, Stored] = {}
        try:
            self._read_header()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._file.close()
            raise ValueError(f"its header is not one of safetensors ({str(error)[:60]})") from None

    def _read_header(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        length = int.from_bytes(self._bytes(0, 8), "little")
        if not 0 < length <= min(_MOST_HEADER, size - 8):
            raise ValueError(f"{length} bytes of header in a file of {size}")
        header = parse_json(bytes(self._bytes(8, length)))
        self.metadata = header.pop("__metadata__", {})
        for name, about in header.items():
            begin, end = (8 + length + int(offset) for offset in about["data_offsets"])
            shape = tuple(int(side) for side in about["shape"])
            expected = math.prod(shape) * TYPES[about["dtype"]].itemsize
            if min(shape, default=0) < 0 or not 8 + length <= begin <= end <= size or end - begin != expected:
                raise ValueError(f"{name} does not fit into the file")
            self.tensors[name] = Stored(about["dtype"], shape, begin, end)

    def tensor(self, name: str) -> Tensor:
        """A whole tensor."""
        stored = self.tensors[name]
        return self._tensor(stored.kind, stored.shape, stored.begin, stored.end)

    def row(self, name: str, number: int) -> Tensor:
        """One element along the first axis of a tensor."""
        stored = self.tensors[name]
        if not 0 <= number < stored.shape[0]:
            raise ValueError(f"{name} has {stored.shape[0]} rows, and no row {number}")
        size = (stored.end - stored.begin) // stored.shape[0]
        begin = stored.begin + number * size
        return self._tensor(stored.kind, stored.shape[1:], begin, begin + size)

    def _tensor(self, kind: str, shape: tuple[int, ...], begin: int, end: int) -> Tensor:
        if begin == end:
            return torch.empty(shape, dtype=TYPES[kind])
        if kind == "BOOL":  # any byte but 0 is true, also where a stranger wrote it
            return torch.frombuffer(self._bytes(begin, end - begin), dtype=torch.uint8).reshape(shape) != 0
        return torch.frombuffer(self._bytes(begin, end - begin), dtype=TYPES[kind]).reshape(shape)

    def _bytes(self, begin: int, count: int) -> bytearray:
        """Bytes of the file, whole.

        Raises:
            ValueError: The file ends before them.
        """
        held = bytearray()
        while len(held) < count:
            some = os.pread(self._file.fileno(), count - len(held), begin + len(held))
            if not some:
                raise ValueError(f"it ends after {begin + len(held)} bytes, before its data do")
            held += some
        return held

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
