import gzip
import io
import logging
import tarfile
import zipfile

import numpy as np
import pytest

from pvdm_lightning.data.index import archives
from pvdm_lightning.data.index.archives import read_members
from pvdm_lightning.data.videos.file_span import open_place

FILES = {"000.mp4": b"one" * 500, "000.cls": b"3", "deep/er/001.mp4": b"two" * 999, "deep/er/001.json": b"{}"}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def anything(name):
    return True


def write_tar(path, files=FILES, **how):
    with tarfile.open(path, "w", **how) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path, files=FILES, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def contents(members):
    found = {}
    for name, span in members.items():
        with open_place(span) as file:
            found[name] = file.read()
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_every_member_of_a_tar_is_found(tmp_path, form):
    long = {f"{'folder/' * 20}{number}.mp4": bytes([number]) * 700 * number for number in range(3)}
    path = write_tar(tmp_path / "a.tar", {**FILES, **long}, format=FORMATS[form])
    assert contents(read_members(path, anything)) == {**FILES, **long}
    assert set(read_members(path, lambda name: name == "000.cls")) == {"000.cls"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_member_of_a_zip_is_found(tmp_path, method):
    path = write_zip(tmp_path / "a.ZIP", {**FILES, "Café 視頻.mp4": b"!", "empty/": b""}, method)
    assert contents(read_members(path, anything)) == {**FILES, "Café 視頻.mp4": b"!"}
    path.write_bytes(b"something before" + path.read_bytes())  # as of an archive that unpacks itself
    assert contents(read_members(path, anything)) == {**FILES, "Café 視頻.mp4": b"!"}


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_names_that_lead_elsewhere_or_are_hidden_are_left_out(tmp_path, write):
    names = ("../a", "/abs/b", "a/../../c", "./d", ".e", "f/._g", "__MACOSX/h", "@eaDir/i", "j//k", "..", "/")
    path = write(tmp_path / f"a.{write.__name__[-3:]}", dict.fromkeys(names, b"!"))
    assert sorted(read_members(path, anything)) == ["abs/b", "d", "j/k"]


def test_no_link_and_no_device_is_followed(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(f"{number}.mp4")
            member.type, member.linkname = kind, str(tmp_path / "secret")
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("kept.mp4"))
    assert list(read_members(tmp_path / "a.tar", anything)) == ["kept.mp4"]


def test_of_one_name_the_last_counts(tmp_path):
    with tarfile.open(write_tar(tmp_path / "a.tar"), "a") as archive:
        member = tarfile.TarInfo("000.cls")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"7"))
    assert contents(read_members(tmp_path / "a.tar", anything))["000.cls"] == b"7"


def test_what_is_compressed_as_a_whole_is_said(tmp_path):
    plain = write_tar(tmp_path / "a.tar").read_bytes()
    for name in ("b.tar", "b.tar.gz", "b.tgz"):
        (tmp_path / name).write_bytes(gzip.compress(plain))
        with pytest.raises(ValueError, match=r"^is compressed as a whole \(gzip\), so that nothing in it can be read"):
            read_members(tmp_path / name, anything)


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"no archive\n" * 200, b"PK\x05\x06" + bytes(9), b"\xff" * 3000])
def test_what_is_no_archive_is_said(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^is no {name[2:]} file \("):
        read_members(tmp_path / name, anything)


def test_a_tar_that_was_cut_is_read_up_to_there(tmp_path, caplog):
    whole = write_tar(tmp_path / "a.tar").read_bytes()
    for length in range(0, len(whole), 700):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        try:
            members = read_members(tmp_path / "cut.tar", anything)
        except ValueError as error:
            assert length < 512 and "is no tar file" in str(error)
            continue
        for name, span in members.items():
            if span.offset + span.size > length:
                with pytest.raises(ValueError, match=r"is cut: cut\.tar ends within it"):
                    open_place(span)
            else:
                assert contents({name: span})[name] == FILES[name]
    with caplog.at_level(logging.WARNING):
        (tmp_path / "cut.tar").write_bytes(whole[:5000])
        read_members(tmp_path / "cut.tar", anything)
    assert f"{tmp_path / 'cut.tar'} is damaged or cut (" in caplog.text


def test_the_number_of_members_and_the_size_of_a_header_are_limited(tmp_path, monkeypatch):
    for path in (write_tar(tmp_path / "a.tar"), write_zip(tmp_path / "a.zip")):
        monkeypatch.setattr(archives, "MOST_MEMBERS", len(FILES))
        assert len(read_members(path, anything)) == len(FILES)
        monkeypatch.setattr(archives, "MOST_MEMBERS", len(FILES) - 1)
        with pytest.raises(ValueError, match="has more than 3 members"):
            read_members(path, anything)
        monkeypatch.undo()
    monkeypatch.setattr(archives, "MOST_IN_HEADER", {".tar": 2**10, ".zip": 2**7})
    write_tar(tmp_path / "a.tar", {"x/" * 3000 + "a.mp4": b"!"}, format=tarfile.PAX_FORMAT)
    with pytest.raises(ValueError, match=r"is no tar file \(a header has more than 1,024 bytes\)"):
        read_members(tmp_path / "a.tar", anything)
    with pytest.raises(ValueError, match=r"is no zip file \(a header has more than 128 bytes\)"):
        read_members(tmp_path / "a.zip", anything)


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damage_anywhere_raises_one_kind_of_error_and_takes_no_time(tmp_path, write):
    path = write(tmp_path / f"a.{write.__name__[-3:]}")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=3):
            damaged[place : place + 8] = rng.bytes(8) if rng.integers(2) else b"\xff" * 8
        path.write_bytes(damaged[: len(whole)])
        try:
            members = read_members(path, anything)
        except ValueError:
            continue
        for span in members.values():
            try:
                with open_place(span) as file:
                    assert len(file.read()) <= 10**6
            except ValueError:
                pass
