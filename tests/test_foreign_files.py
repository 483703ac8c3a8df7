"""Files of unknown origin: regular, limited, never code."""

import os
import zipfile

import pytest
import torch

from pvdm_lightning.foreign_files import load_tensors, open_regular, parse_json, read_bytes, read_json


@pytest.fixture
def special(tmp_path):
    """Paths that are no regular files."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_nothing").symlink_to(tmp_path / "absent")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize("read", [open_regular, read_json, load_tensors, lambda path: read_bytes(path, 10)])
def test_nothing_but_regular_files_is_read(special, read):
    for path in special:
        with pytest.raises(OSError):
            read(path)


def test_no_more_than_a_limit_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(ValueError, match="a has more than 4 bytes"):
        read_bytes(tmp_path / "a", 4)
    with (tmp_path / "sparse.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="bytes"):
        read_json(tmp_path / "sparse.json")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 100_000, "9" * 10_000, b"\xff", "", "NaNx"])
def test_json_that_is_too_deep_or_none(text):
    with pytest.raises(ValueError):
        parse_json(text)


def repacked(source, target, compression):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    return target


def test_archives_that_grow_when_they_are_read(tmp_path):
    torch.save({"a": torch.zeros(1000, 100)}, tmp_path / "good.pt")
    assert load_tensors(tmp_path / "good.pt")["a"].shape == (1000, 100)
    with pytest.raises(ValueError, match="claims more than the file holds"):
        load_tensors(repacked(tmp_path / "good.pt", tmp_path / "bomb.pt", zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("new_format", [True, False])
def test_tensors_that_claim_more_than_the_file_holds(tmp_path, new_format):
    for name, tree in (
        ("expanded", {"a": [torch.zeros(1).expand(10**9)]}),
        (
            "sparse",
            {"a": torch.sparse_coo_tensor(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (10**6, 10**6))},
        ),
    ):
        torch.save(tree, tmp_path / name, _use_new_zipfile_serialization=new_format)
        with pytest.raises(Exception, match="claim more than the file holds"):
            load_tensors(tmp_path / name)


def test_the_older_format_is_read(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert load_tensors(tmp_path / "old.pt")["a"].sum() == 3


def test_a_tree_deeper_than_any_stack(tmp_path):
    torch.save({}, tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as old, zipfile.ZipFile(tmp_path / "deep.pt", "w") as new:
        for part in old.infolist():
            deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
            new.writestr(part.filename, deep if part.filename.endswith("data.pkl") else old.read(part))
    with pytest.raises(RecursionError):  # an Exception, as readers expect of a damaged file
        load_tensors(tmp_path / "deep.pt")
