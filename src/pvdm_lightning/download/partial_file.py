"""What has arrived of a file, with a note of which version of the file that is."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.foreign_files import read_json


@dataclass(frozen=True)
class Version:
    """What a server says of a file, by which a later answer can be told to be of the same one.

    Attributes:
        address: As asked for.
        total: Bytes of the whole file; None if the server does not say.
        validator: A strong ETag, else the time of the last change, for If-Range; None if there is neither.
    """

    address: str
    total: int | None
    validator: str | None

    def goes_on(self, earlier: Version) -> bool:
        """Whether an answer with the rest of a file is of the same version; it need not repeat the time of change."""
        return self.total == earlier.total and self.validator in (None, earlier.validator)


def _open_own(path: str, flags: int) -> int:
    """Open a file that no other name or link leads to: what is appended would change another file."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "something that is no download is in its place", path)
    return descriptor


class PartialFile:
    """A file that is growing at `path`; the note of its version is beside it.

    Only one process may use it at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")
        self.version = self._read_note()

    def _read_note(self) -> Version | None:
        try:
            version = Version(**read_json(self._note))
        except (OSError, ValueError, TypeError):  # none yet, or damaged: the file starts anew
            return None
        types_of = ((version.address, str), (version.total, int | None), (version.validator, str | None))
        return version if all(isinstance(value, kind) for value, kind in types_of) else None

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def is_whole(self) -> bool:
        """Whether it has the size that the server announced."""
        return self.version is not None and self.version.total is not None and self.size == self.version.total

    def begin(self, version: Version) -> None:
        """Start anew with a version of the file."""
        self.discard()  # first: bytes of another version must never lie beside the new note
        with atomic_write(self._note) as note:
            note.write_text(json.dumps(asdict(version)), encoding="utf-8")
        self.version = version

    def append(self) -> IO[bytes]:
        """Open it for the bytes that follow."""
        return open(self.path, "ab", opener=_open_own)

    def discard(self) -> None:
        """Delete what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.version = None

    def move_to(self, target: Path) -> None:
        """Give the file its own name."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)
        self.version = None
