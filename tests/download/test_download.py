"""Downloads from a server on this machine: whole or absent, resumed, checked."""

import contextlib
import hashlib
import socket
import threading
import time
from email.message import Message
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from file_server import file_server
from pvdm_lightning.download import DownloadError, UnreachableError, download_file, transfer
from pvdm_lightning.download.answer import check_is_file
from pvdm_lightning.download.verified import FOLDER
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.output_lock import OutputLock

NAME = "net.pt"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as served:
        yield served


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / NAME


def fetch(server, target, sha256=None, size=None):
    return download_file(server.address, target, "PVDM_CACHE", size, sha256)


def digest_of(server):
    return hashlib.sha256(server.body).hexdigest()


def cut(server, target, monkeypatch, at=30_000, **kwargs):
    """A download whose connection is cut, and which gives up."""
    server.cuts = [at]
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "ATTEMPTS", 1)
        with pytest.raises(DownloadError, match=rf"connection was cut.*; {at:,} bytes are kept"):
            fetch(server, target, **kwargs)
    assert not target.exists()


def names(target):
    return sorted(str(path.relative_to(target.parent)) for path in target.parent.rglob("*") if path.is_file())


def test_a_whole_file(server, target):
    assert fetch(server, target, digest_of(server), len(server.body)) == digest_of(server)
    assert target.read_bytes() == server.body
    assert names(target) == [NAME]
    assert "Range" not in server.asked[0]


def test_a_cut_connection_is_followed_by_one_for_the_rest(server, target):
    server.cuts = [30_000, 20_000]
    fetch(server, target)
    assert target.read_bytes() == server.body
    assert server.sent == [30_000, 20_000, len(server.body) - 50_000]
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=30000-", "bytes=50000-"]
    assert server.asked[1]["If-Range"] == '"one"'


def test_the_next_call_goes_on(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    assert names(target) == [f"{FOLDER}/{NAME}.part", f"{FOLDER}/{NAME}.part.json"]
    fetch(server, target, digest_of(server))
    assert target.read_bytes() == server.body
    assert server.sent == [30_000, len(server.body) - 30_000]
    assert names(target) == [NAME]


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_link_in_the_place_of_what_has_arrived_is_not_followed(server, target, monkeypatch, link):
    cut(server, target, monkeypatch)
    partial, victim = target.parent / FOLDER / f"{NAME}.part", target.with_name("victim")
    partial.rename(victim)
    before = victim.read_bytes()
    partial.symlink_to(victim) if link == "symbolic" else partial.hardlink_to(victim)
    with pytest.raises(OSError):
        fetch(server, target)
    assert victim.read_bytes() == before


def test_a_file_that_changed_starts_anew(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    server.body, server.headers["ETag"] = b"new" * 40_000, '"two"'
    fetch(server, target)
    assert target.read_bytes() == server.body and server.sent[1] == len(server.body)


def test_a_server_without_if_range_that_changed_the_file_starts_anew(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    server.body, server.headers = b"new" * 40_000, {"ETag": '"two"'}
    # It ignores If-Range: the part it answers with is of another file.
    server.answer = lambda handler, answer=server.answer: (handler.headers.__delitem__("If-Range"), answer(handler))
    fetch(server, target)
    assert target.read_bytes() == server.body
    assert [asked.get("Range") for asked in server.asked[1:]] == ["bytes=30000-", None]


def test_a_file_that_became_shorter_starts_anew(server, target, monkeypatch):
    server.headers = {}
    cut(server, target, monkeypatch, sha256="0")
    server.body = b"short"
    fetch(server, target, digest_of(server))
    assert target.read_bytes() == b"short"


def test_a_server_without_ranges_sends_all_again(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    server.ranges = False
    fetch(server, target)
    assert target.read_bytes() == server.body


@pytest.mark.parametrize(("hashed", "asked"), [(True, "bytes=30000-"), (False, None)])
def test_without_a_validator_only_a_hash_allows_to_join_parts(server, target, monkeypatch, hashed, asked):
    server.headers = {"ETag": 'W/"weak"'}
    sha256 = digest_of(server) if hashed else None
    cut(server, target, monkeypatch, sha256=sha256)
    fetch(server, target, sha256)
    assert target.read_bytes() == server.body
    assert server.asked[1].get("Range") == asked


def test_a_damaged_note_starts_anew(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    (target.parent / FOLDER / f"{NAME}.part.json").write_text('{"address": ')
    fetch(server, target)
    assert target.read_bytes() == server.body and server.sent[1] == len(server.body)


def test_what_arrived_whole_is_not_asked_for_again(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    (target.parent / FOLDER / f"{NAME}.part").write_bytes(server.body)  # killed before it was renamed
    fetch(server, target, digest_of(server))
    assert target.read_bytes() == server.body and len(server.asked) == 1


def test_another_hash_is_refused_and_what_was_there_stays(server, target):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(DownloadError, match=f"the SHA-256 {digest_of(server)}, the published file {'0' * 64}; it was"):
        fetch(server, target, "0" * 64)
    assert target.read_bytes() == b"mine" and names(target) == [NAME]


def test_damaged_bytes_are_found_and_the_next_call_starts_anew(server, target, monkeypatch):
    cut(server, target, monkeypatch)
    (target.parent / FOLDER / f"{NAME}.part").write_bytes(bytes(30_000))
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server, target, digest_of(server))
    assert names(target) == []
    fetch(server, target, digest_of(server))
    assert target.read_bytes() == server.body


@pytest.mark.parametrize(
    ("change", "size", "problem"),
    [
        ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, None, "gives a page and not the file"),
        ({"status": 404}, None, "the server answers 404 Not Found"),
        ({"status": 204}, None, "the server's answer 204 is not understood"),
        ({}, 7, r"the server's file has 102,400 bytes, the published one 7$"),
        ({"says_length": False}, None, "does not say how long the file is"),
    ],
)
def test_answers_that_are_not_the_file(server, target, change, size, problem):
    vars(server).update(change)
    with pytest.raises(DownloadError, match=problem):
        fetch(server, target, size=size)
    assert names(target) == []


def test_a_disk_that_is_too_small_is_said_before(server, target, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda folder: SimpleNamespace(free=9))
    with pytest.raises(DownloadError, match="102,400 bytes are needed, and the disk has 9 free"):
        fetch(server, target)
    assert names(target) == []


def test_an_address_that_no_longer_encrypts_is_refused():
    passed_on = SimpleNamespace(headers=Message(), url="http://elsewhere/file")
    with pytest.raises(DownloadError, match="http://elsewhere/file, which is not encrypted"):
        check_is_file("https://here/file", passed_on)


def test_a_hash_tells_the_end_of_a_file_of_unknown_length(server, target):
    server.says_length = False
    server.cuts = [30_000]
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(server, target, digest_of(server))
    assert names(target) == []
    fetch(server, target, digest_of(server))
    assert target.read_bytes() == server.body


def test_no_connection(target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(UnreachableError, match=r"^no connection to 127\.0\.0\.1 \(Connection refused\)$"):
            download_file(address, target, "PVDM_CACHE")
    assert names(target) == []


def test_two_processes_do_not_write_into_one_file(server, target):
    lock = OutputLock(target.parent / FOLDER, "x")
    with pytest.raises(InvalidArgumentError, match=r"^PVDM_CACHE \S+downloads: is being written to by process"):
        fetch(server, target)
    lock.release()
    fetch(server, target)
    assert target.read_bytes() == server.body


def endless(head, more=b""):
    """An answer: its head, then the same bytes for ever."""

    def answer(connection):
        connection.sendall(head)
        while more:
            connection.sendall(more)
            time.sleep(0.001)

    return answer


@contextlib.contextmanager
def answering(answer):
    """The address of a server that gives one answer to whatever it is asked."""

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection = listening.accept()[0]
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/file"
        listening.shutdown(socket.SHUT_RDWR)


OK, CHUNK = b"HTTP/1.1 200 OK\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"
ENDLESS = {
    "chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "a body without length": endless(OK + b"\r\n", b"x" * 65536),
    "more than was said": endless(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 65536),
    "a part of what was not said": endless(
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-9/*\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK
    ),
}
SLOW = {
    "letters of a header": endless(OK + b"X: ", b"x"),
    "announcements": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body byte by byte": endless(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "a body without end byte by byte": endless(OK + b"\r\n", b"x"),
    "letters of a chunk": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("size", [200_000, None])
def test_a_body_ends_at_the_size_that_the_file_may_have(answer, size, target, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "MOST_BYTES", 500_000)
    with answering(answer) as address, pytest.raises(DownloadError, match="bytes"):
        download_file(address, target, "PVDM_CACHE", size, "0" * 64)
    assert names(target) == []


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_download_ends_when_its_time_is_over(answer, target, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with (
        answering(answer) as address,
        pytest.raises(DownloadError, match=r"^it is not done after 0\.5 seconds|not unde"),
    ):
        download_file(address, target, "PVDM_CACHE", None, "0" * 64, timeout=0.5)
    assert not target.exists()


def heads():
    """Answers without a body, of names, numbers and lines that a server makes up."""
    values = st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80),
        st.sampled_from(["9" * 5000, "-1", "bytes 5-4/3", "bytes 0-" + "9" * 5000 + "/*", "a\r\n b", "\x1b[2J"]),
        st.sampled_from(
            ["http://" + "a" * 70 + ".com/x", "http://[", "http://a:b/", "ftp://x/", "file:///etc/passwd", "//"]
        ),
    )
    names = st.sampled_from(
        ["Location", "Content-Length", "Content-Range", "Transfer-Encoding", "ETag", "Content-Type"]
    )
    status = st.sampled_from(["200 OK", "206 P", "302 F", "301", "416 R", "500 \x1b[2J", "999999 x", "x", "", "304 N"])
    return st.builds(
        lambda status, fields: f"HTTP/1.1 {status}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n",
        status,
        st.lists(st.tuples(names, values), max_size=3),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=heads())
@example(head="HTTP/1.1 302 F\r\nLocation: http://" + "a" * 70 + ".com/x\r\n\r\n")
@example(head='HTTP/1.1 200 OK\r\nETag: "a\r\n b"\r\nContent-Length: 9\r\n\r\n')
def test_whatever_a_server_answers_is_one_kind_of_error(head, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    target = tmp_path / "cache" / NAME
    with answering(endless(head.encode("latin-1"))) as address:
        for _ in range(2):  # the second time it may go on with what is there
            with contextlib.suppress(DownloadError):
                download_file(address, target, "PVDM_CACHE", 200_000, "0" * 64, timeout=5)
    assert not target.exists()
