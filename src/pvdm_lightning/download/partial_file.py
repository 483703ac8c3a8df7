"""What has arrived of a file, with a note of which version of the file that is."""

from __future__ import annotations

import json
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
        return self.path.open("ab")

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
