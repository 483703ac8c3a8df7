"""Brings a partial file to its full size over HTTP; after a cut it asks for the rest alone."""

from __future__ import annotations

import logging
import shutil
from http.client import HTTPException, HTTPResponse

from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.download.answer import body_length, check_is_file, span, version_of
from pvdm_lightning.download.connection import Connection
from pvdm_lightning.download.errors import DownloadError
from pvdm_lightning.download.partial_file import PartialFile
from pvdm_lightning.escaping import one_line

logger = logging.getLogger(__name__)

ATTEMPTS = 5
"""Connections that may be cut before one call gives up; the next call goes on."""
MOST_BYTES = 2**34
"""Of a file whose size is not known; the largest published one has half a gigabyte."""
MOST_SECONDS = 6 * 3600
"""Of a download, all its connections together: 16 GB at 6 Mbit/s."""
_BLOCK = 1 << 18


def transfer(
    address: str, partial: PartialFile, size: int | None = None, hashed: bool = False, timeout: float = MOST_SECONDS
) -> None:
    """Download into a partial file until it is whole.

    Args:
        address: Address of the file.
        partial: Bytes of the same version in it are not asked for again.
        size: Size of the published file, if it is known: others are refused, before they are downloaded if the
            server says their size. Without it MOST_BYTES are the limit.
        hashed: Whether a hash will be checked. Then parts are joined also where the server gives no validator, and a
            server need not say where the file ends.
        timeout: Seconds for all connections together.

    Raises:
        DownloadError: The file cannot be had; what arrived stays, if it can be gone on with.
        OSError: The partial file cannot be written.
    """
    if partial.version is None or partial.version.address != address:
        partial.discard()
    with Connection(timeout) as connection:
        for _ in range(ATTEMPTS):
            if partial.is_whole:
                return
            cut = _attempt(address, partial, size, hashed, connection)
            if connection.is_over and not partial.is_whole:
                raise DownloadError(f"it is not done after {timeout:g} seconds")
            if cut is None:
                return
    raise DownloadError(f"the connection was cut {ATTEMPTS} times ({cut})")


def _attempt(address: str, partial: PartialFile, size: int | None, hashed: bool, connection: Connection) -> str | None:
    """One connection: None if the file is whole after it, else why it is not."""
    response = connection.open(address, _resume_headers(partial, hashed))
    if response is None:
        partial.discard()
        return "the file has changed on the server"
    with response:
        check_is_file(address, response)
        start, total = span(response)
        if total is None and not hashed and not response.chunked:
            raise DownloadError("the server does not say how long the file is, and no hash of it is known")
        if size is not None and total not in (None, size):
            partial.discard()
            raise DownloadError(f"the server's file has {total:,} bytes, the published one {size:,}")
        if total is not None and total > MOST_BYTES:
            partial.discard()
            raise DownloadError(f"the server's file has {total:,} bytes, and at most {MOST_BYTES:,} are downloaded")
        version = version_of(address, total, response.headers)
        free = shutil.disk_usage(partial.path.parent).free
        if total is not None and total - start > free + (partial.size if start == 0 else 0):
            raise DownloadError(f"{total - start:,} bytes are needed, and the disk has {free:,} free")
        if start == 0:
            partial.begin(version)
        elif start != partial.size or partial.version is None or not version.goes_on(partial.version):
            partial.discard()
            return "the file has changed on the server"
        size_said = "not said" if total is None else f"{total:,} bytes"
        logger.info("downloading %s (%s), from byte %s on", address, size_said, f"{start:,}")
        return _receive(response, partial, size or total or MOST_BYTES)


def _resume_headers(partial: PartialFile, hashed: bool) -> dict[str, str]:
    """The request for the rest of a file, if it can be told to be of the same version."""
    if partial.size == 0 or partial.version is None:
        return {}
    headers = {"Range": f"bytes={partial.size}-"}
    if partial.version.validator is not None:
        return {**headers, "If-Range": partial.version.validator}
    return headers if hashed else {}


def _receive(response: HTTPResponse, partial: PartialFile, most: int) -> str | None:
    """Append the body: None if the file is whole after it, else why it is not.

    Raises:
        DownloadError: The file would have more than `most` bytes.
    """
    total = partial.version.total if partial.version is not None else None
    left = body_length(response)
    reason = "it ended early"
    written, too_long = partial.size, False
    name = partial.path.name.removesuffix(".part")
    # No bar where nobody watches: it would fill a log.
    bar = tqdm(desc=name, initial=partial.size, total=total, unit="B", unit_scale=True, disable=None)
    with bar, partial.append() as file:
        while left is None or left > 0:
            try:
                block = response.read1(_BLOCK if left is None else min(_BLOCK, left))
            except (OSError, HTTPException, ValueError) as error:  # of a chunk's length, too
                return one_line(error, 160) or type(error).__name__
            if not block:
                break
            written += len(block)
            if written > most:
                too_long = True
                break
            file.write(block)
            bar.update(len(block))
            left = None if left is None else left - len(block)
    if too_long:
        partial.discard()
        raise DownloadError(f"the server sends more than the {most:,} bytes that the file may have")
    if total is None:
        return None if not left else reason
    return None if partial.is_whole else reason
