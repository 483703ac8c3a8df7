"""A file under its name is whole, whatever happened while it was written."""

import errno
import os
import resource
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pvdm_lightning.atomic_write import PARTIAL, atomic_write


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new folder" / "file.txt"
    with atomic_write(path) as partial:
        partial.write_text("first")
        assert not path.exists()
        assert list(path.parent.glob(PARTIAL)) == [partial]
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
        with atomic_write(path) as partial:
            partial.mkdir()
            for number in range(frames):
                (partial / str(number)).touch()
    with pytest.raises(ValueError, match="broken"), atomic_write(path) as partial:
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
