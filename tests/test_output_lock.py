"""The lock of a folder is a file of ours; what else has its name is neither followed nor changed."""

import os

import pytest

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.output_lock import FILE_NAME, OutputLock


def link(path, victim):
    path.symlink_to(victim)


def dangling_link(path, victim):
    path.symlink_to(victim.with_name("nowhere"))


def hard_link(path, victim):
    os.link(victim, path)


def hard_link_to_an_empty_file(path, victim):
    victim.with_name("empty").touch()
    os.link(victim.with_name("empty"), path)


def users_file(path, victim):
    path.write_text("my notes")


def folder(path, victim):
    path.mkdir()


def pipe(path, victim):
    os.mkfifo(path)


FOREIGN = [link, dangling_link, hard_link, hard_link_to_an_empty_file, users_file, folder, pipe]


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_no_lock_stays_as_it_is(tmp_path, make):
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    make(out / FILE_NAME, victim)
    before = (out / FILE_NAME).lstat()
    with pytest.raises(InvalidArgumentError, match=r"--out .*its \.pvdm\.lock is not a lock of this program"):
        OutputLock(out, "--out")
    after = (out / FILE_NAME).lstat()
    assert victim.read_text() == "precious" and not victim.with_name("nowhere").exists()
    assert (before.st_mode, before.st_ino, before.st_size) == (after.st_mode, after.st_ino, after.st_size)


@pytest.mark.parametrize("left", ["", "process 1 on there\n", f"process 123456789 on {'a-long-name' * 9}\n"])
def test_a_lock_that_was_left_is_taken_over(tmp_path, left):
    (tmp_path / FILE_NAME).write_text(left)
    lock = OutputLock(tmp_path, "--out")
    with pytest.raises(InvalidArgumentError, match=f"is being written to by process {os.getpid()} on"):
        OutputLock(tmp_path, "--out")
    lock.release()
    assert not list(tmp_path.iterdir())


def test_a_file_that_took_the_place_of_the_lock_is_not_deleted(tmp_path):
    lock = OutputLock(tmp_path, "--out")
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).write_text("mine")
    lock.release()
    assert (tmp_path / FILE_NAME).read_text() == "mine"
