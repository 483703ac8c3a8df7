"""Requests to a server that may answer anything, for ever: a time limit for all of them, and one kind of error."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from types import TracebackType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from pvdm_lightning.download.errors import DownloadError, UnreachableError
from pvdm_lightning.escaping import one_line

SECONDS = 30
"""Without an answer, or without a byte."""


class Connection:
    """The connections of one download; when the time is over, the open one is cut.

    Reading alone cannot keep the time: headers that arrive letter by letter, or answers that announce another one, keep
    the standard library busy for ever.

    Args:
        timeout: Seconds from the start of the block to its end.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(timeout, self._cut)
        self._timer.daemon = True
        opened = self._opened

        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class HttpHandler(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> HTTPResponse:
                return self.do_open(Http, request)

        class HttpsHandler(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> HTTPResponse:
                return self.do_open(Https, request)

        # Without those of ftp, file and data, to which an answer may pass on.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            HttpHandler(),
            HttpsHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def __enter__(self) -> Connection:
        self._end = time.monotonic() + self._timeout
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def _opened(self, one: socket.socket) -> None:
        self._sockets.append(one)
        if self.is_over:  # of a redirection, after the others were cut
            self._cut()

    def _cut(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def open(self, address: str, headers: dict[str, str]) -> HTTPResponse | None:
        """The server's answer; None if the file does not reach as far as the range asked for.

        Raises:
            DownloadError: There is no answer, or it is none.
        """
        headers = {"User-Agent": "pvdm-lightning", "Accept-Encoding": "identity", **headers}
        server, seconds = one_line(urlsplit(address).hostname, 100), min(SECONDS, self._timeout)
        try:
            response: Any = self._opener.open(urllib.request.Request(address, headers=headers), timeout=seconds)
        except HTTPError as error:
            with contextlib.suppress(Exception):
                error.close()
            if error.code == 416 and "Range" in headers:
                return None
            raise DownloadError(f"the server answers {error.code} {one_line(error.reason, 160)}") from None
        except Exception as error:  # addresses, names and headers that a server makes up fail in many ways
            if self.is_over:
                raise DownloadError(f"it is not done after {self._timeout:g} seconds") from None
            reason = error.reason if isinstance(error, URLError) else error
            text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            if isinstance(reason, OSError):
                raise UnreachableError(f"no connection to {server} ({one_line(text, 160)})") from None
            raise DownloadError(f"the answer of {server} is not understood ({one_line(text, 160)})") from None
        return response
