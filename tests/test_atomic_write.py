"""A file under its name is whole, whatever happened while it was written."""

import os
import subprocess

import pytest

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
