"""A file under its name is whole, whatever happened while it was written."""

import errno
import os
import re
import resource
import socket
import stat
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from pvdm_lightning.atomic_write import PARTIAL, atomic_write, clear_partial_files


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new folder" / "file.txt"
    with atomic_write(path) as partial:
        partial.write_text("first")
        assert not path.exists()
        assert list(path.parent.iterdir()) == [partial] and PARTIAL.fullmatch(partial.name)
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    with atomic_write(path) as partial:
        partial.write_text("second")
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_pipe_is_written_to_and_stays(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        with atomic_write(path) as partial:
            partial.write_text("whole")
        assert reader.stdout.read() == b"whole"
    assert list(tmp_path.iterdir()) == [path] and path.is_fifo()


def test_two_containers_with_one_process_number_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_too(tmp_path):
    path = tmp_path / "frames"
    for frames in (3, 2):
        with atomic_write(path, replace_frames=True) as partial:
            partial.mkdir()
            for number in range(frames):
                (partial / f"frame_{number:05d}.png").touch()
    with pytest.raises(ValueError, match="broken"), atomic_write(path, replace_frames=True) as partial:
        partial.mkdir()
        (partial / "0").touch()
        raise ValueError("broken")
    assert len(list(path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def full_disk():
    """No file may grow beyond 4 KB: what a full disk or a quota looks like to a library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_pictures(path):
    path.mkdir()
    for number in range(2):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path / f"{number}.png")


LARGE = torch.rand(10000)
SAVES = {
    "bytes": lambda path: path.write_bytes(bytes(10000)),
    "numpy": lambda path: save_array(path, LARGE.numpy()),
    "npz": lambda path: np.savez(path.open("wb"), a=LARGE.numpy()),
    "torch": lambda path: torch.save({"weight": LARGE}, path),
    "safetensors": lambda path: save_file({"weight": LARGE}, path),
    "pictures": save_pictures,
}


def save_array(path, array):
    with path.open("wb") as file:
        np.save(file, array)


@pytest.mark.parametrize("library", SAVES)
def test_whichever_library_meets_a_full_disk(tmp_path, full_disk, library):
    path = tmp_path / "file"
    with pytest.raises(OSError, match="File too large") as raised, atomic_write(path) as partial:
        SAVES[library](partial)
    assert raised.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (RuntimeError("another"), OSError("another"), OSError(errno.EIO, "another")):
        with pytest.raises(type(error), match="another") as raised, atomic_write(tmp_path / "file"):
            raise error
        assert raised.value is error


def tree(folder):
    """Every path below a folder, with the content of files and the target of links."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


THINGS = st.recursive(
    st.sampled_from(
        ["file", "empty folder", "link to a file", "link to a folder", "link to nothing", "link to itself"]
    ),
    lambda things: st.dictionaries(
        st.sampled_from(["frame_00000.png", "frame_00001.png", "thesis.tex", "0", ".hidden", "frame_1.png"]), things
    ),
    max_leaves=4,
)


def make(path, thing):
    """Something of a user's, at a path; what links lead to lies in the folder `victims` above."""
    if isinstance(thing, dict):
        path.mkdir()
        for name, below in thing.items():
            make(path / name, below)
    elif thing == "file":
        path.write_text("precious")
    elif thing == "empty folder":
        path.mkdir()
    elif thing == "link to itself":
        path.symlink_to(path.name)
    else:
        victims = next(folder / "victims" for folder in path.parents if (folder / "victims").is_dir())
        target = {"link to a file": "thesis.tex", "link to a folder": "", "link to nothing": "nowhere"}[thing]
        path.symlink_to(victims / target)


def root_with(tmp_path_factory, name, thing):
    root = tmp_path_factory.mktemp("root")
    (root / "victims").mkdir()
    (root / "victims" / "thesis.tex").write_text("precious")
    make(root / name, thing)
    return root


@settings(max_examples=60, deadline=None)
@given(thing=THINGS, as_folder=st.booleans(), replace_frames=st.booleans())
def test_nothing_of_the_users_is_lost(tmp_path_factory, thing, as_folder, replace_frames):
    """Whatever is in the place: a file, or a link itself, is replaced; folders are not, except frames where allowed."""
    root = root_with(tmp_path_factory, "place", thing)
    path, before = root / "place", tree(root)
    was_folder = path.is_dir() and not path.is_symlink()
    only_frames = thing == "empty folder" or (
        isinstance(thing, dict)
        and all(re.fullmatch(r"frame_\d{5}\.png", name) and below == "file" for name, below in thing.items())
    )
    try:
        with atomic_write(path, replace_frames) as partial:
            if as_folder:
                partial.mkdir()
                (partial / "frame_00000.png").write_text("new")
            else:
                partial.write_text("new")
    except OSError:
        assert tree(root) == before
        return
    assert not was_folder or (replace_frames and as_folder and only_frames)
    after = tree(root)
    written = {"place": False, "place/frame_00000.png": b"new"} if as_folder else {"place": b"new"}
    assert after == {name: held for name, held in before.items() if not name.startswith("place")} | written


@settings(max_examples=40, deadline=None)
@given(
    thing=THINGS,
    name=st.sampled_from([".a.partial-0123456789ab", ".a.partial-1", ".a.partial-notes", "a.partial-0123456789ab"]),
)
def test_only_what_a_killed_process_left_is_cleared(tmp_path_factory, thing, name):
    root = root_with(tmp_path_factory, name, thing)
    before = tree(root)
    clear_partial_files(root)
    lost = before.keys() - tree(root).keys()
    if name != ".a.partial-0123456789ab":
        assert not lost
    for gone in lost:  # a file or frames of that name, never what a link leads to
        assert gone == name or re.fullmatch(re.escape(name) + r"/frame_\d{5}\.png", gone)
    assert tree(root) == {path: held for path, held in before.items() if path not in lost}


@pytest.mark.parametrize("mode", ["block device", "socket"])
def test_a_disk_or_a_socket_is_no_place_for_a_file(tmp_path, monkeypatch, mode):
    path = tmp_path / "place"
    if mode == "socket":
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(str(path))
    else:
        path.touch()
        monkeypatch.setattr("pvdm_lightning.atomic_write._mode", lambda _: stat.S_IFBLK)
    with pytest.raises(FileExistsError, match="no file"), atomic_write(path):
        pytest.fail("it is checked before anything is written")
    assert list(tmp_path.iterdir()) == [path]
