"""Files that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".*.partial-*"
"""Pattern of the temporary names; a killed process leaves one behind."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path in the folder of `path` to write a file or a folder to; it takes the place of `path` when the block ends.

    The folder is made. If the block fails, what it wrote is deleted and `path` stays as it was.

    Raises:
        OSError: The folder cannot be made, or the file not be renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
        raise
