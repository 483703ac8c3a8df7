"""A model hub on this machine: repositories that are made, committed to and downloaded by the public HTTP interface.

All files are small ones to it, which a commit carries; how large ones are stored is the library's concern.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """What it holds.

    Attributes:
        address: For HF_ENDPOINT.
        repositories: Files by repository, revision and path.
        status: Answer to every request that is not 200; None answers them.
        asked: Method and path of each request.
        messages: Of the commits.
    """

    def __init__(self, address):
        self.address = address
        self.repositories, self.asked, self.messages, self.status = {}, [], [], None

    def branch(self, name, revision):
        return self.repositories[name].setdefault(revision, dict(self.repositories[name].get("main", {})))

    def answer(self, method, path, body):
        """Status, content and headers."""
        self.asked.append(f"{method} {path}")
        if self.status is not None:
            return self.status, b"{}", {}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.repositories.setdefault(name, {"main": {}})
            return 200, {"url": f"{self.address}/{name}", "id": name}, {}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        match = _RESOLVE.fullmatch(path)
        if match:
            return self._file(*match.groups())
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(\w[\w-]*)/([^/?]+))?(\?.*)?", path)
        if not match or match[1] not in self.repositories:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        name, action, revision = match[1], match[2], match[3] or "main"
        if action == "branch":
            self.branch(name, revision)
            return 200, {}, {}
        revision = {_commit_of(branch): branch for branch in self.repositories[name]}.get(revision, revision)
        if revision not in self.repositories[name]:
            return 404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"}
        if action == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return 200, {"files": modes}, {}
        if action == "commit":
            self._commit(name, revision, body)
            return 200, {"commitUrl": f"{self.address}/{name}/commit/{'a' * 40}", "commitOid": "a" * 40}, {}
        files = self.repositories[name][revision]
        if action == "tree":
            return 200, [{"type": "file", "path": path, "size": len(files[path]), "oid": path} for path in files], {}
        siblings = [{"rfilename": path} for path in files]
        return 200, {"id": name, "modelId": name, "sha": _commit_of(revision), "siblings": siblings}, {}

    def _commit(self, name, revision, body):
        branch = self.branch(name, revision)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            else:
                branch[value["path"]] = base64.b64decode(value["content"])

    def _file(self, name, revision, path):
        branches = self.repositories.get(name, {})
        files = {_commit_of(branch): files for branch, files in branches.items()} | branches
        if path not in files.get(revision, {}):
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        content = files[revision][path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": revision}
        return 200, content, headers


def _commit_of(branch):
    return hashlib.sha1(branch.encode()).hexdigest()


@contextmanager
def hub_server():
    """A `Hub` that is running."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content, headers = hub.answer(self.command, self.path, body)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self):
            self.do_POST()

        def do_HEAD(self):
            self.do_POST()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
