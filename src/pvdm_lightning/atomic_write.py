"""Files that are whole or absent: written under a temporary name, brought to the disk, then renamed."""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".*.partial-*"
"""Pattern of the temporary names; a killed process leaves one behind."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path in the folder of `path` to write a file or a folder to; it takes the place of `path` when the block ends.

    The folder is made. If the block fails, what it wrote is deleted and `path` stays as it was.

    Raises:
        OSError: The folder cannot be made, or the file not be written or renamed; also where a library met a full disk
            and raised an error of its own.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device or a pipe is written to, not replaced
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the process number: containers repeat it, and a leftover of the same name would be in the way.
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:12]}")
    try:
        yield partial
        for written in [partial, *partial.rglob("*")] if partial.is_dir() else [partial]:
            _sync(written)
        if path.is_dir():
            shutil.rmtree(path)
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


def clear_partial_files(folder: Path) -> None:
    """Delete what killed processes left in a folder; no living one may be writing there (see `output_lock`)."""
    for partial in folder.glob(PARTIAL):
        with contextlib.suppress(OSError):
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
