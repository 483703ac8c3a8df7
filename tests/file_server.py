"""A server of one file on this machine, which can cut a connection and keeps what it was asked for."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """What it serves may be changed between requests.

    Attributes:
        body: The file.
        headers: Sent with it; its ETag is what If-Range is compared with.
        ranges: Whether it serves the rest of a file.
        says_length: Whether it sends Content-Length.
        status: Sent in place of the file, if it is not 200.
        cuts: After how many bytes of the body each of the next connections is cut.
        asked: The headers of every request.
        sent: Bytes of the body that each answer had.
    """

    def __init__(self, address):
        self.address = address
        self.body = bytes(range(256)) * 400
        self.headers = {"ETag": '"one"', "Content-Type": "application/octet-stream"}
        self.ranges, self.says_length, self.status = True, True, 200
        self.cuts, self.asked, self.sent = [], [], []

    def answer(self, handler):
        self.asked.append(dict(handler.headers))
        self.sent.append(0)
        asked_range = handler.headers.get("Range")
        same = handler.headers.get("If-Range") in (None, self.headers.get("ETag"))
        start = int(asked_range[6:-1]) if asked_range and self.ranges and same else 0
        status = self.status if self.status != 200 else 206 if start else 200
        if start >= len(self.body):
            status = 416
        handler.send_response(status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.says_length:
            handler.send_header("Content-Length", str(len(self.body) - start if status in (200, 206) else 0))
        handler.end_headers()
        if status in (200, 206):
            rest = self.body[start:]
            rest = rest[: self.cuts.pop(0)] if self.cuts else rest
            self.sent[-1] = len(rest)
            handler.wfile.write(rest)


@contextmanager
def file_server():
    """A `FileServer` that is running."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = FileServer(f"http://127.0.0.1:{server.server_port}/file")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()
