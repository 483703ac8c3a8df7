"""Fetches a published file: resumed where it was cut, and under its name only once its hash is right."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.callbacks.progress_stream import stream
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics.published_network import file_sha256
from pvdm_lightning.output_lock import OutputLock
from pvdm_lightning.pretrained_files import PretrainedFile

OPTION = "--fetch"
CHUNK = 2**20
SECONDS = 30.0
"""Without an answer after which there is no connection."""


def fetch(file: PretrainedFile, folder: Path) -> Path:
    """Download a file into a folder.

    What has come is kept in <name>.part when the connection is cut; the next call asks for the rest.

    Returns:
        Path of the file.

    Raises:
        InvalidArgumentError: It has no address of its own, the machine is offline, or the hash is another one.
    """
    if file.url is None:
        remedy = f"Open {file.page} in a browser, and put the file into {folder}."
        raise InvalidArgumentError(OPTION, file.name, "has no address that can be fetched", remedy)
    folder.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(folder, OPTION)
    try:
        part = folder / f"{file.name}.part"
        try:
            _download(file, part)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise _offline(file, folder, error) from None
        digest = file_sha256(part)
        if file.sha256 is not None and not digest.startswith(file.sha256):
            part.unlink()
            problem = f"came with SHA-256 {digest}, and {file.sha256} was published"
            raise InvalidArgumentError(OPTION, file.name, problem, "Try again, or fetch it by hand.")
        return part.replace(folder / file.name)
    finally:
        lock.release()


def _download(file: PretrainedFile, part: Path) -> None:
    """Append to what has come before, if the server goes on there."""
    assert file.url is not None
    have = part.stat().st_size if part.exists() else 0
    if file.size is not None and have >= file.size:
        return
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # all of it had come
            raise
        return
    with answer:
        goes_on = have > 0 and answer.status == 206
        left = answer.headers.get("Content-Length")
        total = None if left is None else int(left) + (have if goes_on else 0)
        bar = tqdm(total=total, initial=have if goes_on else 0, desc=file.name, unit="B", unit_scale=True, **stream())
        with bar, part.open("ab" if goes_on else "wb") as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"cut after {part.stat().st_size} of {total} bytes")


def _offline(file: PretrainedFile, folder: Path, error: Exception) -> InvalidArgumentError:
    reason = " ".join(str(getattr(error, "reason", error)).split())[:120] or type(error).__name__
    remedy = f"Repeat the command to go on, or fetch {file.url} elsewhere and put it into {folder}."
    return InvalidArgumentError(OPTION, file.name, f"cannot be fetched from here ({reason})", remedy)
