"""`pvdm weights` against a server on this machine that cuts connections and knows ranges."""

import hashlib
import http.server
import importlib
import threading

import pytest

from pvdm_lightning import cli
from pvdm_lightning.pretrained_files import FILES, PretrainedFile

CONTENT = bytes(range(256)) * 4000

command = importlib.import_module("pvdm_lightning.cli.commands.weights")


class Server(http.server.BaseHTTPRequestHandler):
    asked: list[str]
    cut: bool

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        self.asked.append(self.headers.get("Range", "all"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = len(CONTENT) // 2 if type(self).cut else len(CONTENT)
        type(self).cut = False
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of one file, `weights.pth`, and an empty cache folder."""
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    kind = type("Kind", (Server,), {"asked": [], "cut": False})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}/weights.pth"
        file = PretrainedFile("weights.pth", "a test", url, url, None, hashlib.sha256(CONTENT).hexdigest())
        monkeypatch.setattr(command, "FILES", {file.name: file})
        yield kind
        running.shutdown()


@pytest.fixture
def said(capsys):
    def call(*args):
        capsys.readouterr()
        try:
            cli.main(["weights", *args])
            status = 0
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_is_fetched_checked_and_listed(server, said, tmp_path):
    assert "no: pvdm weights --fetch weights.pth" in said()[1]
    status, out, _ = said("--fetch", "weights.pth")
    assert status == 0 and "hash is right" in out
    assert (tmp_path / "cache/weights.pth").read_bytes() == CONTENT
    assert names(tmp_path / "cache") == ["weights.pth"]
    said("--fetch", "all")
    assert server.asked == ["all"]  # what is here is not fetched again


def test_a_connection_that_is_cut_is_resumed(server, said, tmp_path):
    server.cut = True
    status, _, err = said("--fetch=weights.pth")
    assert status == 2 and "Repeat the command to go on" in err
    assert names(tmp_path / "cache") == ["weights.pth.part"]  # nothing under the file's own name
    assert "1 MB of it have come" in said()[1]
    assert said("--fetch", "[weights.pth]")[0] == 0
    assert server.asked == ["all", f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "cache/weights.pth").read_bytes() == CONTENT


def test_another_file_never_gets_the_name(server, said, tmp_path, monkeypatch):
    other = command.FILES["weights.pth"]._replace(sha256="0" * 64)
    monkeypatch.setattr(command, "FILES", {other.name: other})
    status, _, err = said("--fetch", "weights.pth")
    assert status == 2 and f"came with SHA-256 {hashlib.sha256(CONTENT).hexdigest()}" in err
    assert names(tmp_path / "cache") == []


def test_a_machine_without_network_is_told_in_one_line(server, said, monkeypatch, tmp_path):
    file = command.FILES["weights.pth"]._replace(url="http://127.0.0.1:9/weights.pth")
    monkeypatch.setattr(command, "FILES", {file.name: file})
    status, _, err = said("--fetch", "weights.pth")
    (line,) = [line for line in err.splitlines() if line]
    assert status == 2 and line.startswith("pvdm: error: --fetch weights.pth: cannot be fetched from here")
    assert file.url in line and str(tmp_path / "cache") in line


def test_what_needs_a_browser_or_is_unknown_is_said(said):
    status, _, err = said("--fetch", "i3d_pretrained_400.pt")
    assert status == 2 and "Open https://drive.google.com" in err
    status, _, err = said("--fetch", "other.pt")
    assert status == 2 and "is none of the files" in err


def test_every_file_is_in_the_readme(said):
    from pathlib import Path

    readme = (Path(__file__).parents[3] / "README.md").read_text()
    for file in FILES.values():
        assert file.name in readme and file.page.split(" ")[0] in readme
        assert file.sha256 is None or file.sha256 in readme
