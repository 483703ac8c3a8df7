"""A download that has its name only once it is whole and its hash is right."""

from __future__ import annotations

import os
from pathlib import Path

from pvdm_lightning.checksum import file_git_blob, file_sha256
from pvdm_lightning.download.errors import DownloadError
from pvdm_lightning.download.partial_file import PartialFile
from pvdm_lightning.download.transfer import MOST_SECONDS, transfer
from pvdm_lightning.output_lock import OutputLock

FOLDER = "downloads"
"""Beside the target, on its file system: what has arrived so far. One process at a time downloads there."""


def download_file(
    address: str,
    target: Path,
    argument: str,
    size: int | None = None,
    sha256: str | None = None,
    timeout: float = MOST_SECONDS,
    git_blob: str | None = None,
) -> str:
    """Download a file, or the rest of it.

    Args:
        address: Address of the file.
        target: Its path; a file that is there is replaced at the end.
        argument: What named the folder, for the error.
        size: In bytes, if it is known.
        sha256: Hexadecimal, or its first digits, if it is known.
        timeout: Seconds that it may take.
        git_blob: SHA-1 that git gives to the file, if it is known; one of the hashes must match.

    Returns:
        The file's own SHA-256.

    Raises:
        DownloadError: It cannot be had, or is another file; the target is then as it was.
        InvalidArgumentError: The folder cannot be written to, or another process downloads into it.
        OSError: The file cannot be written.
    """
    lock = OutputLock(target.parent / FOLDER, argument)
    try:
        partial = PartialFile(target.parent / FOLDER / f"{target.name}.part")
        try:
            transfer(address, partial, size, hashed=bool(sha256 or git_blob), timeout=timeout)
        except DownloadError as error:
            if partial.size:
                raise type(error)(f"{error}; {partial.size:,} bytes are kept, and the same command goes on") from None
            raise
        digest = file_sha256(partial.path)
        is_known = sha256 is not None and digest.startswith(sha256)
        is_known = is_known or (git_blob is not None and file_git_blob(partial.path) == git_blob)
        if (sha256 or git_blob) and not is_known:
            # Kept, it would be whole and wrong for ever.
            partial.discard()
            published = sha256 or f"another one (its git blob is {git_blob})"
            raise DownloadError(f"what came has the SHA-256 {digest}, the published file {published}; it was deleted")
        with partial.append() as file:
            os.fsync(file.fileno())
        partial.move_to(target)
        return digest
    finally:
        lock.release()
