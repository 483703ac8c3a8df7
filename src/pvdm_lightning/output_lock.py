"""One command at a time writes into a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from pvdm_lightning.atomic_write import clear_partial_files
from pvdm_lightning.errors import InvalidArgumentError, check_writable

FILE_NAME = ".pvdm.lock"


class OutputLock:
    """The right to write into a folder, until the process ends or `release` is called.

    It is a lock of the operating system, which a killed process gives up, too. Who has it may delete what killed
    processes left in the folder, and this is done at once.

    Args:
        folder: Made if it is not there.
        argument: The option that named it.

    Raises:
        InvalidArgumentError: Another process writes there, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, argument: str) -> None:
        check_writable(argument, folder, folder)
        self.path = folder / FILE_NAME
        self._made = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] | None = _locked(self.path)
        except BlockingIOError:
            owner = _owner(self.path)
            problem = f"is being written to by {owner}"
            raise InvalidArgumentError(argument, folder, problem, "Wait for its end, or name another.") from None
        except OSError as error:
            reason = f"cannot be written to ({error.strerror})"
            raise InvalidArgumentError(argument, folder, reason, "Name another.") from None
        with contextlib.suppress(OSError):
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()
        clear_partial_files(folder)

    def release(self) -> None:
        """Give the folder to others; one that was made for nothing goes."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None
            if self._made:  # and nothing was written
                with contextlib.suppress(OSError):
                    self.path.parent.rmdir()


def _locked(path: Path) -> IO[str]:
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:  # a file system without locks
            return file
        # Who had it before may have deleted the file in between: then a third one could lock a new file of its name.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError):
        return " ".join(path.read_text()[:200].split()) or "another command"
    return "another command"
