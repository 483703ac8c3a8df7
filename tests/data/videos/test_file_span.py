import os
import re
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pvdm_lightning.data.index.archives import read_members
from pvdm_lightning.data.index.probing import probe
from pvdm_lightning.data.index.video_info import Route
from pvdm_lightning.data.videos import file_span, video_libraries
from pvdm_lightning.data.videos.decoding import read_frames
from pvdm_lightning.data.videos.file_span import DEFLATED, ENCRYPTED, FileSpan, FileSpans, open_place

NAMES = ("mpeg4.avi", "b_frames.avi", "h264.mp4", "UPPER.MKV", "vp9.webm", "rotated.mp4", "truncated.avi")


def embed(path, target, rng):
    """A file somewhere in a larger one, between other bytes."""
    content, before, after = path.read_bytes(), int(rng.integers(1, 5000)), int(rng.integers(0, 5000))
    target.write_bytes(rng.bytes(before) + content + rng.bytes(after))
    return FileSpan(target, before, len(content))


def windows(frames, rng):
    for _ in range(3):
        yield sorted(rng.choice(frames, size=min(frames, 5), replace=False).tolist())


@pytest.mark.parametrize("libraries", ["decord", "pyav"])
@pytest.mark.parametrize("name", NAMES)
def test_frames_of_a_span_equal_those_of_the_file_wherever_it_lies(playable, tmp_path, monkeypatch, name, libraries):
    if libraries == "pyav":
        monkeypatch.setattr(video_libraries, "decord", lambda: None)
    rng = np.random.default_rng(NAMES.index(name))
    path, span = playable / name, embed(playable / name, tmp_path / "larger", rng)
    info = probe(span)
    assert info == probe(path) and info.frames > 0
    for window in windows(info.frames, rng):
        expected = read_frames(path, info, window, np.array)
        assert all(np.array_equal(a, b) for a, b in zip(read_frames(span, info, window, np.array), expected))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_read_stored_or_deflated(playable, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for name in NAMES[:3]:
            archive.write(playable / name, f"videos/{name}")
    members = read_members(tmp_path / "a.zip", lambda name: True)
    assert sorted(members) == sorted(f"videos/{name}" for name in NAMES[:3])
    for name in NAMES[:3]:
        with open_place(members[f"videos/{name}"]) as file:
            assert file.read() == (playable / name).read_bytes()
        assert probe(members[f"videos/{name}"]) == probe(playable / name)


def test_a_window_is_a_file_of_its_own(tmp_path):
    content = bytes(range(256)) * 300
    (tmp_path / "larger").write_bytes(b"before" + content + b"after")
    rng = np.random.default_rng(0)
    with open_place(FileSpan(tmp_path / "larger", 6, len(content))) as window:
        assert window.seek(0, os.SEEK_END) == len(content) and window.read() == b""
        for _ in range(50):
            start, size = int(rng.integers(len(content) + 9)), int(rng.integers(40_000))
            assert window.seek(start) == window.tell() == start
            assert window.read(size) == content[start : start + size]
        window.seek(-9, os.SEEK_END)
        assert window.read() == content[-9:]
        with pytest.raises((ValueError, OSError)):
            window.seek(-1)


def test_threads_read_side_by_side(tmp_path):
    content = np.random.default_rng(0).bytes(2**18)
    (tmp_path / "larger").write_bytes(content)
    spans = [FileSpan(tmp_path / "larger", start, 2**15) for start in range(0, 2**18, 2**15)]
    right: list[bool] = []

    def read(span):
        for _ in range(20):
            with open_place(span) as file:
                right.append(file.read() == content[span.offset : span.offset + span.size])

    threads = [threading.Thread(target=read, args=(span,)) for span in spans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(right) == 160 and all(right)


def test_a_descriptor_is_not_left_open(playable, tmp_path):
    span = embed(playable / "h264.mp4", tmp_path / "larger", np.random.default_rng(0))
    before = len(list(Path("/proc/self/fd").iterdir()))
    info = probe(span)
    for _ in range(5):
        read_frames(span, info, [3], np.array)
        for bad in (span._replace(size=10**9), span._replace(packing=ENCRYPTED), span._replace(packing=DEFLATED)):
            with pytest.raises(ValueError):
                open_place(bad)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size": 10**9}, "is cut: larger ends within it"),
        ({"offset": -1}, "is cut: larger ends within it"),
        ({"size": 0}, r"is empty \(0 bytes\)"),
        ({"packing": ENCRYPTED}, "is encrypted; make the archive anew with `zip -0`"),
        ({"packing": zipfile.ZIP_LZMA}, "is compressed by a method that is not read; make the archive anew"),
        ({"packing": DEFLATED}, r"is damaged \(Error -3 while decompressing"),
        ({"path": Path("nowhere")}, "No such file"),
    ],
)
def test_a_span_that_cannot_be_read_is_broken(playable, tmp_path, changes, problem):
    span = embed(playable / "h264.mp4", tmp_path / "larger", np.random.default_rng(1))._replace(**changes)
    info = probe(span)
    assert info.route == Route.BROKEN
    assert re.match(problem, info.problem), info.problem


def test_what_is_inflated_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(file_span, "MOST_INFLATED", 2**16)
    sizes = {"small": 2**16 - 1, "just": 2**16, "large": 2**16 + 1, "huge": 2**24}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in sizes.items():
            archive.writestr(name, bytes(size))
    members = read_members(tmp_path / "a.zip", lambda name: True)
    for name in ("small", "just"):
        with open_place(members[name]) as file:
            assert file.read() == bytes(sizes[name])
    for name in ("large", "huge"):
        with pytest.raises(ValueError, match="is compressed and has more than 65,536 bytes"):
            open_place(members[name])


def test_many_spans_are_kept_as_one_array(tmp_path):
    rng = np.random.default_rng(0)
    spans = [FileSpan(tmp_path / f"{rng.integers(3)}", *rng.integers(2**40, size=2).tolist()) for _ in range(20)]
    kept = FileSpans.of(spans)
    assert list(kept) == spans and list(kept[5:9]) == spans[5:9] and len(kept[5:9]) == 4
    for name in "012":
        (tmp_path / name).write_text("!")
        os.utime(tmp_path / name, ns=(0, 10**9 * (1 + int(name))))
    sizes, times = kept.stamps()
    assert sizes.tolist() == [span.size for span in spans]
    assert times.tolist() == [10**9 * (1 + int(span.path.name)) for span in spans]


def test_tar_members_are_where_they_are_said_to_be(playable, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in NAMES:
            archive.add(playable / name, f"deep/{'x' * 150}/{name}")  # longer than a header has room for
    for name, span in read_members(tmp_path / "a.tar", lambda name: True).items():
        with open_place(span) as file:
            assert file.read() == (playable / Path(name).name).read_bytes()
