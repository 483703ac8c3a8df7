"""One command at a time writes into a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from pvdm_lightning.atomic_write import clear_partial_files
from pvdm_lightning.errors import InvalidArgumentError, check_writable

FILE_NAME = ".pvdm.lock"
_OWNER = b"process "  # what the file begins with


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
            self._descriptor: int | None = _locked(self.path)
            _note_owner(self._descriptor)
            clear_partial_files(folder)
        except BlockingIOError:
            owner = _owner(self.path)
            problem = f"is being written to by {owner}"
            raise InvalidArgumentError(argument, folder, problem, "Wait for its end, or name another.") from None
        except OSError as error:
            reason = f"cannot be written to ({error.strerror})"
            raise InvalidArgumentError(argument, folder, reason, "Name another.") from None

    def release(self) -> None:
        """Give the folder to others; one that was made for nothing goes."""
        if self._descriptor is not None:
            if _is_at(self.path, self._descriptor):
                self.path.unlink()
            os.close(self._descriptor)
            self._descriptor = None
            if self._made:  # and nothing was written
                with contextlib.suppress(OSError):
                    self.path.parent.rmdir()


def _locked(path: Path) -> int:
    """Open and lock the file; what is not a lock of this program is neither followed nor changed."""
    while True:
        _check_is_lock(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError:  # a file system without locks
                return descriptor
            # Who had it before may have deleted the file in between: a third one could lock a new file of its name.
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _check_is_lock(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    is_lock = stat.S_ISREG(found.st_mode) and found.st_nlink <= 1
    if is_lock and found.st_size > 0:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            is_lock = file.read(len(_OWNER)) == _OWNER
    if not is_lock:
        raise OSError(errno.EEXIST, f"its {FILE_NAME} is not a lock of this program")


def _note_owner(descriptor: int) -> None:
    """Write who has the lock over the line of who had it before; nothing is truncated."""
    line = _OWNER + f"{os.getpid()} on {socket.gethostname()}".encode()
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, line.ljust(os.fstat(descriptor).st_size) + b"\n", 0)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError):
        return " ".join(path.read_text()[:200].split()) or "another command"
    return "another command"
