"""Millions of names in little memory."""

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np


class Names(Sequence[str]):
    """A sequence of strings in one block of bytes: a million paths take 60 MB, once, whatever the number of workers.

    A list of a million strings is copied page by page into every worker that so much as looks at it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self.ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self.block = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        rows = range(len(self))[index]
        if isinstance(rows, int):
            start = self.ends[rows - 1] if rows else 0
            return os.fsdecode(self.block[start : self.ends[rows]].tobytes())
        assert rows.step == 1, "only whole stretches"
        if not rows:
            return []
        ends = self.ends[rows.start : rows.stop].tolist()
        first = int(self.ends[rows.start - 1]) if rows.start else 0
        stretch = self.block[first : ends[-1]].tobytes()
        return [os.fsdecode(stretch[a - first : b - first]) for a, b in zip([first, *ends], ends)]
