"""A checkpoint is whole under its name, wherever TMPDIR is, and a full disk leaves the one before."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch

from pvdm_lightning.callbacks import AtomicCheckpointIO


def test_it_is_written_beside_its_target(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    replaced: list[tuple[str, str]] = []
    replace = os.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (replaced.append((str(self), str(to))), replace(self, to))[1])
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weight": torch.ones(3)}, path)
    ((source, target),) = replaced
    assert Path(source).parent == Path(target).parent == path.parent
    assert torch.load(path, weights_only=True)["weight"].sum() == 3
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def full(checkpoint, file):
        file.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left") as raised:
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert raised.value.errno == errno.ENOSPC and raised.value.filename == str(path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_fault_of_ours_is_no_full_disk(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("another")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="another"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
