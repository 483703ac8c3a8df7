"""Files that are whole or absent: written under a temporary name, brought to the disk, then renamed.

Nothing is removed here but what this program wrote: files under its temporary names, and folders of frames.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

PARTIAL = re.compile(r"\..+\.partial-[0-9a-f]{12}")
"""The temporary names; a killed process leaves one behind."""
FRAME = re.compile(r"frame_\d{5,}\.png")
"""Names of the files in the only folders that are written here."""


@contextlib.contextmanager
def atomic_write(path: Path, replace_frames: bool = False) -> Iterator[Path]:
    """A path in the folder of `path` to write a file or a folder to; it takes the place of `path` when the block ends.

    The folder is made. If the block fails, what it wrote is deleted and `path` stays as it was. A link is replaced, not
    followed, unless it leads to a pipe or a terminal.

    Args:
        path: Path of the file or the folder.
        replace_frames: Whether a folder that holds nothing but frames of a video is replaced by another one.

    Raises:
        OSError: The folder cannot be made, or the file not be written or renamed; also where a library met a full disk
            and raised an error of its own; another folder, or a disk, is in the place.
    """
    mode = _mode(path)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):  # such as /dev/stdout: written to, not replaced
        yield path
        return
    check_replaceable(path, replace_frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _temporary(path)
    try:
        yield partial
        for written in [partial, *partial.rglob("*")] if partial.is_dir() else [partial]:
            _sync(written)
        check_replaceable(path, replace_frames)
        if path.is_dir() and not path.is_symlink() and partial.is_dir():
            _swap(partial, path)
        else:
            partial.replace(path)
        _sync(path.parent)
    except BaseException as error:
        trouble = _trouble_of_disk(error, path)  # asked while what was written still fills it
        with contextlib.suppress(OSError):
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
        if trouble is not None:
            raise trouble from error
        raise


def _trouble_of_disk(error: BaseException, path: Path) -> OSError | None:
    """What the disk says if it may be behind an error that has no number: each library tells a full one in its way."""
    if not isinstance(error, Exception) or (isinstance(error, OSError) and error.errno is not None):
        return None
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(bytes(2**16))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as trouble:
        return OSError(trouble.errno, os.strerror(trouble.errno or 0), str(path))
    return None


def check_replaceable(path: Path, replace_frames: bool = False) -> None:
    """Raise `OSError` if something is at `path` that a file must not take the place of; see `atomic_write`."""
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        if not (replace_frames and not path.is_symlink() and all(map(_is_frame, path.iterdir()))):
            raise IsADirectoryError(errno.EISDIR, "a folder is in its place", str(path))
    elif mode and not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "something that is no file is in its place", str(path))


def clear_partial_files(folder: Path) -> None:
    """Delete what killed processes left in a folder; no living one may be writing there (see `output_lock`)."""
    for left in folder.iterdir():
        if PARTIAL.fullmatch(left.name) and not left.is_symlink():
            if left.is_dir():
                _remove_frames(left)
            elif left.is_file():
                with contextlib.suppress(OSError):
                    left.unlink()


def _mode(path: Path) -> int:
    """Type of what is at a path, links followed; 0 if nothing is there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _temporary(path: Path) -> Path:
    # Not the process number: containers repeat it, and a leftover of the same name would be in the way.
    return path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")


def _swap(partial: Path, path: Path) -> None:
    """Put a folder of frames into the place of another one."""
    old = _temporary(path)
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove_frames(old)


def _remove_frames(folder: Path) -> None:
    """Delete the frames in a folder, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        for path in filter(_is_frame, list(folder.iterdir())):
            path.unlink()
        folder.rmdir()


def _is_frame(path: Path) -> bool:
    return bool(FRAME.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems sync no folders
            raise
    finally:
        os.close(descriptor)
