"""What a server's answer to a request for a file, or for the rest of one, says of its body."""

from __future__ import annotations

import re
from http.client import HTTPMessage, HTTPResponse

from pvdm_lightning.download.errors import DownloadError
from pvdm_lightning.download.partial_file import Version
from pvdm_lightning.escaping import one_line


def check_is_file(address: str, response: HTTPResponse) -> None:
    """Raise `DownloadError` for a page in place of the file, and for an address that no longer encrypts."""
    if response.headers.get_content_type() == "text/html":
        raise DownloadError("the server gives a page and not the file")
    if address.startswith("https:") and not response.url.startswith("https:"):
        raise DownloadError(f"the server passes on to {one_line(response.url, 200)}, which is not encrypted")


def span(response: HTTPResponse) -> tuple[int, int | None]:
    """Where the body starts in the file, and the size of the whole file if the server says it.

    Raises:
        DownloadError: The answer is neither the file nor a part of it.
    """
    if response.status == 200:
        return 0, body_length(response)
    part = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", response.headers.get("Content-Range", "").strip()
    )
    if response.status != 206 or part is None:
        raise DownloadError(f"the server's answer {response.status} is not understood")
    return int(part[1]), None if part[2] == "*" else int(part[2])


def body_length(response: HTTPResponse) -> int | None:
    """Bytes of the body, if the server says it."""
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def version_of(address: str, total: int | None, headers: HTTPMessage) -> Version:
    """The version of the file that an answer is of."""
    tag = headers.get("ETag")
    if tag is not None and tag.startswith("W/"):  # the same meaning, not the same bytes
        tag = None
    validator = tag or headers.get("Last-Modified")
    # What was said in many letters, or in several lines, cannot be sent back.
    return Version(
        address, total, validator if validator and len(validator) < 200 and validator.isprintable() else None
    )
