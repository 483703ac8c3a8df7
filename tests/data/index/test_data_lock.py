"""Locks of data sets: what they find, and what they make of files of strangers."""

import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.data.index.data_lock import DataLock, check_lock
from pvdm_lightning.data.latents import encoded_videos
from pvdm_lightning.errors import InvalidArgumentError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def videos(tmp_path, cache):
    """`videos()`: the lock of what is in a folder; splits by the first letter."""
    root = tmp_path / "set"
    root.mkdir()
    for name in ("a1", "a2", "a3", "b1", "b2"):
        (root / name).write_bytes(name.encode() * 100)

    def look():
        names = sorted(path.name for path in root.iterdir())
        found = [("train" if name[0] == "a" else "val", name, 7, str(root / name)) for name in names]
        return DataLock.look_at(found)

    look.root = root
    return look


def problem_of(path, look, **options):
    with pytest.raises(InvalidArgumentError) as error:
        check_lock(str(path), "DataModule.lock", "set", look, **options)
    return error.value.problem


def test_an_unchanged_set_holds_wherever_and_whenever_it_was_copied(videos, tmp_path):
    lock = videos()
    lock.write(tmp_path / "data.lock")
    assert DataLock.read(tmp_path / "data.lock", "x") == lock
    for path in videos.root.iterdir():
        os.utime(path, ns=(1, 1))
    assert check_lock(str(tmp_path / "data.lock"), "x", "set", videos).list_sha256() == lock.list_sha256()
    content = json.loads((tmp_path / "data.lock").read_text())
    assert content["videos_by_split"] == {"train": 3, "val": 2}
    (entry,) = (entry for entry in content["videos"] if entry["name"] == "b1")
    assert entry == {
        "split": "val",
        "name": "b1",
        "frames": 7,
        "bytes": 200,
        "sha256": hashlib.sha256(b"b1" * 100).hexdigest(),
    }


def test_missing_new_changed_and_moved_videos(videos, tmp_path):
    videos().write(tmp_path / "data.lock")
    (videos.root / "a1").write_bytes(b"A1" * 100)  # of the same size
    (videos.root / "a2").unlink()
    (videos.root / "b3").write_bytes(b"")
    problem = problem_of(tmp_path / "data.lock", videos)
    assert problem == "does not hold for set: 1 missing (a2), 1 new (b3), 1 changed (a1)"

    def other_split():
        return DataLock.look_at([("val", "a3", 7, str(videos.root / "a3"))])

    assert "1 in another split (a3)" in problem_of(tmp_path / "data.lock", other_split)
    (videos.root / "b3").unlink()
    for number in range(9):
        (videos.root / f"c{number}").write_bytes(b"c")
    assert "9 new (c0, c1, c2, ...)" in problem_of(tmp_path / "data.lock", videos)


def test_without_splits_only_videos_that_can_be_read_count(videos, tmp_path):
    files = [str(videos.root / name) for name in ("a1", "a2", "b1")]
    DataLock.look_at([("train", "1", 7, files[0]), ("val", "1", 7, files[0]), ("val", "2", 0, files[1])]).write(
        tmp_path / "data.lock"
    )

    def now():
        return DataLock.look_at([("", "1", 7, files[0])])

    check_lock(str(tmp_path / "data.lock"), "x", "set", now, by_split=False)
    assert "missing" in problem_of(tmp_path / "data.lock", now)


def test_contents_are_read_once_on_a_machine(videos, tmp_path, monkeypatch):
    videos().write(tmp_path / "data.lock")
    read, content = [], encoded_videos._content
    monkeypatch.setattr(encoded_videos, "_content", lambda name: read.append(name) or content(name))
    check_lock(str(tmp_path / "data.lock"), "x", "set", videos)
    assert read == []
    (videos.root / "a1").write_bytes(b"a1" * 100)
    check_lock(str(tmp_path / "data.lock"), "x", "set", videos)
    assert read == [str(videos.root / "a1")]
    for record in (tmp_path / "cache").glob("hashes-*"):
        record.write_bytes(b"damaged")
    check_lock(str(tmp_path / "data.lock"), "x", "set", videos)
    assert len(read) == 6


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_lock_of_a_stranger_is_more_than_a_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("locks") / "data.lock"
    entry = {"split": "train", "name": "a", "frames": 1, "bytes": 2, "sha256": "0" * 64}
    entry[data.draw(st.sampled_from([*entry, "other"]))] = data.draw(json_values)
    whole = {"format": 1, "videos": [entry], "list_sha256": "0" * 64}
    if data.draw(st.booleans()):
        whole[data.draw(st.sampled_from([*whole]))] = data.draw(json_values)
    path.write_text(json.dumps(data.draw(st.sampled_from([whole, [whole], None]))))
    with pytest.raises(InvalidArgumentError) as error:
        DataLock.read(path, "DataModule.lock")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"null"])
def test_damaged_locks(tmp_path, content):
    (tmp_path / "data.lock").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        DataLock.read(tmp_path / "data.lock", "DataModule.lock")
    with pytest.raises(InvalidArgumentError, match="No such file"):
        DataLock.read(tmp_path / "none.lock", "DataModule.lock")


def test_a_lock_that_was_edited_is_refused(videos, tmp_path):
    path = tmp_path / "data.lock"
    videos().write(path)
    path.write_text(path.read_text().replace('"frames": 7', '"frames": 8', 1))
    with pytest.raises(InvalidArgumentError, match="its list was changed by hand"):
        DataLock.read(path, "DataModule.lock")
