import os

import numpy as np
import pytest

from pvdm_lightning.data.index import build_index, video_index
from pvdm_lightning.data.index.build_index import load_or_build
from pvdm_lightning.data.index.video_index import FILE_NAME
from pvdm_lightning.data.index.video_info import Route, VideoInfo
from pvdm_lightning.data.output.names import Names


class Probe:
    """Notes what it was asked, and answers by the size of the file."""

    def __init__(self):
        self.asked: list[str] = []

    def __call__(self, path):
        self.asked.append(path.name)
        if "bad" in path.name:
            return VideoInfo(problem=f"{path.name} is bad")
        return VideoInfo(path.stat().st_size, 24, 32, 29.97, "mpeg4", 90, Route.SEEK, -(2**40), 512.25, "a flaw")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for number, name in enumerate(["a/one.avi", "a/zwei é.avi", "b/bad.avi", "three.avi"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes(10 + number))
    return root


NAMES = ["a/one.avi", "a/zwei é.avi", "b/bad.avi", "three.avi"]


def test_names_are_a_sequence_of_strings():
    names = Names(["a", "", "视頻/é.avi", os.fsdecode(b"not utf8 \xff")])
    assert list(names) == [names[i] for i in range(4)] == ["a", "", "视頻/é.avi", os.fsdecode(b"not utf8 \xff")]
    assert names[-1] == names[3] and names[1:3] == ["", "视頻/é.avi"] and names[4:] == [] and len(Names([])) == 0
    with pytest.raises(IndexError):
        names[4]


def test_lines_come_back_from_the_disk_as_they_were(folder):
    built, loaded = (load_or_build(folder, NAMES, Probe(), progress=False) for _ in range(2))
    for row, name in enumerate(NAMES):
        assert loaded.info(row) == built.info(row)
        assert loaded.path(row) == folder / name
    assert loaded.info(1) == VideoInfo(
        11, 24, 32, pytest.approx(29.97), "mpeg4", 90, Route.SEEK, -(2**40), 512.25, "a flaw"
    )
    assert loaded.problem(2) == "bad.avi is bad"


def test_only_files_that_are_new_or_changed_are_probed(folder):
    load_or_build(folder, NAMES, Probe(), progress=False)
    again = Probe()
    load_or_build(folder, NAMES, again, progress=False)
    assert again.asked == []
    (folder / "three.avi").write_bytes(bytes(99))
    os.utime(folder / "a/one.avi", ns=(1, 1))
    (folder / "new.avi").touch()
    changed = Probe()
    index = load_or_build(folder, ["new.avi", *NAMES], changed, progress=False)
    assert sorted(changed.asked) == ["new.avi", "one.avi", "three.avi"]
    assert [index.info(row).frames for row in range(5)] == [0, 10, 11, 0, 99]


def test_splits_of_one_folder_share_an_index_and_keep_each_other(folder):
    load_or_build(folder, NAMES[:2], Probe(), progress=False)
    load_or_build(folder, NAMES[2:], Probe(), progress=False)
    both = Probe()
    index = load_or_build(folder, NAMES[::-1], both, progress=False)
    assert both.asked == []
    assert [index.info(row).frames for row in range(4)] == [13, 0, 11, 10]
    assert index.problem(1) == "bad.avi is bad"


def test_a_part_of_an_index_has_its_own_rows(folder):
    part = load_or_build(folder, NAMES, Probe(), progress=False).part(slice(2, None))
    assert list(part.names) == NAMES[2:] and part.problem(0) == "bad.avi is bad" and part.info(1).frames == 13


def test_an_interrupted_build_goes_on_where_it_was(folder, monkeypatch):
    monkeypatch.setattr(build_index, "CHUNK", 1)

    def interrupted(path):
        if path.name == "three.avi":
            raise KeyboardInterrupt
        return Probe()(path)

    with pytest.raises(KeyboardInterrupt):
        load_or_build(folder, NAMES, interrupted, progress=False)
    rest = Probe()
    load_or_build(folder, NAMES, rest, progress=False)
    assert rest.asked == ["three.avi"]


def test_a_killed_build_loses_the_last_minute_only(folder, monkeypatch):
    monkeypatch.setattr(build_index, "SAVE_SECONDS", -1.0)
    saved: list[int] = []
    monkeypatch.setattr(build_index, "save_index", lambda index: saved.append(len(index)))
    load_or_build(folder, NAMES, Probe(), progress=False)
    assert saved == [1, 2, 3, 4, 4]


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 half a zip file"])
def test_a_damaged_index_is_built_anew(folder, content, own_cache):
    (folder / FILE_NAME).write_bytes(content)
    probe = Probe()
    load_or_build(folder, NAMES, probe, progress=False)
    assert len(probe.asked) == 4
    load_or_build(folder, NAMES, probe, progress=False)
    assert len(probe.asked) == 4


@pytest.fixture
def read_only(folder, own_cache, monkeypatch):
    """Makes the folder read-only."""
    real = video_index.atomic_write

    def refuse(path):  # type: ignore[no-untyped-def]
        if path.parent == folder:
            raise PermissionError("read-only")
        return real(path)

    return lambda: monkeypatch.setattr(video_index, "atomic_write", refuse)


def test_the_index_of_a_read_only_folder_lies_in_the_cache(folder, own_cache, read_only):
    read_only()
    load_or_build(folder, NAMES, Probe(), progress=False)
    assert not (folder / FILE_NAME).exists() and len(list(own_cache.glob("*.npz"))) == 1
    again = Probe()
    load_or_build(folder, NAMES, again, progress=False)
    assert again.asked == []


def test_beside_an_older_index_in_a_read_only_folder_the_newer_one_is_taken(folder, read_only):
    load_or_build(folder, NAMES[:2], Probe(), progress=False)
    os.utime(folder / FILE_NAME, ns=(1, 1))
    read_only()
    rest, again = Probe(), Probe()
    load_or_build(folder, NAMES, rest, progress=False)
    load_or_build(folder, NAMES, again, progress=False)
    assert sorted(rest.asked) == ["bad.avi", "three.avi"] and again.asked == []


def test_troubles_of_the_machine_are_not_held_against_a_file(folder):
    index = load_or_build(folder, NAMES, lambda path: VideoInfo(problem="Permission denied"), progress=False)
    assert index.problem(0) == "Permission denied"
    again = Probe()
    load_or_build(folder, NAMES, again, progress=False)
    assert len(again.asked) == 4


def test_nothing_is_left_beside_the_index(folder):
    load_or_build(folder, NAMES, Probe(), progress=False)
    assert {path.name for path in folder.iterdir()} == {"a", "b", "three.avi", FILE_NAME}


def test_a_million_lines_take_little_memory():
    names = Names(f"class_{number % 1000:04d}/v_{number:07d}.avi" for number in range(10_000))
    bytes_a_video = video_index.LINE.itemsize + (names.block.nbytes + names.ends.nbytes) / len(names)
    assert bytes_a_video < 120
    assert np.array_equal(names.ends, np.arange(1, 10_001) * len(names[0]))
