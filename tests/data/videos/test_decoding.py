import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.probing import probe
from pvdm_lightning.data.index.video_info import DecodeError, Route
from pvdm_lightning.data.videos import decoding, video_libraries
from pvdm_lightning.data.videos.decoding import read_frames

PLAYABLE = [
    *("mpeg4.avi", "b_frames.avi", "Café 視頻 (1).avi", "truncated.avi", "damaged.avi"),
    *("h264.mp4", "one_key_frame.mp4", "rotated.mp4", "ten_bit.mp4", "UPPER.MKV", "uneven_times.mkv", "vp9.webm"),
    *("odd_size.avi", "odd_420.avi", "gray.avi", "tiny.avi", "one_frame.avi"),
]

DecodeAll = Callable[[Path, int], list[np.ndarray]]


def windows_of(frames, size=7):
    size = min(size, frames)
    starts = [frames - size, 0, (frames - size) // 2, (frames - size) // 3, frames - size]
    return [list(range(start, start + size)) for start in starts] + [list(range(0, frames, 3))]


def wrong_windows(path, decode_all):
    info = probe(path)
    assert info.route != Route.BROKEN, info.problem
    right = decode_all(path, info.rotation)
    assert len(right) >= info.frames
    assert right[0].shape == (info.height, info.width, 3)
    return [
        window
        for window in windows_of(info.frames)
        for got, index in zip(read_frames(path, info, window, np.array), window)
        if not np.array_equal(got, right[index])
    ]


@pytest.mark.parametrize("name", PLAYABLE)
def test_windows_equal_sequential_decoding_to_the_pixel(playable, name, decode_all):
    for _ in range(2):
        assert wrong_windows(playable / name, decode_all) == []


@pytest.mark.usefixtures("without_decord")
@pytest.mark.parametrize("name", PLAYABLE)
def test_pyav_alone_serves_everything(playable, name, decode_all):
    assert probe(playable / name).route in (Route.SEEK, Route.SCAN)
    assert wrong_windows(playable / name, decode_all) == []


@pytest.mark.skipif(video_libraries.decord() is None, reason="decord is not installed")
def test_decord_reads_what_it_reads_right_and_nothing_else(playable):
    by_decord = {name for name in PLAYABLE if probe(playable / name).route == Route.DECORD}
    assert {"mpeg4.avi", "h264.mp4", "vp9.webm", "rotated.mp4"} <= by_decord
    assert by_decord.isdisjoint({"b_frames.avi", "ten_bit.mp4", "odd_420.avi", "uneven_times.mkv", "damaged.avi"})


def test_in_a_large_file_frames_are_sought(playable, monkeypatch):
    monkeypatch.setattr(probing, "MOST_BYTES_FOR_DECORD", 100)
    routes = {probe(playable / name).route for name in PLAYABLE}
    assert routes <= {Route.DECORD, Route.SEEK, Route.SCAN}
    assert probe(playable / "h264.mp4").route == Route.SEEK


@pytest.mark.skipif(video_libraries.decord() is None, reason="decord is not installed")
def test_an_index_made_with_decord_serves_machines_without(playable, decode_all, monkeypatch):
    info = probe(playable / "h264.mp4")
    assert info.route == Route.DECORD
    monkeypatch.setattr(video_libraries, "decord", lambda: None)
    right = decode_all(playable / "h264.mp4", 0)
    assert np.array_equal(read_frames(playable / "h264.mp4", info, [30, 31], np.array), right[30:32])


def test_rotation_turns_pictures_upright(playable):
    upright, rotated = (probe(playable / name) for name in ("h264.mp4", "rotated.mp4"))
    assert (upright.height, upright.width, upright.rotation) == (48, 64, 0)
    assert (rotated.height, rotated.width, abs(rotated.rotation - 180)) == (96, 64, 90)
    bar = np.array(read_frames(playable / "rotated.mp4", rotated, [0], np.array)[0])[..., 2].astype(int)
    # The bar stands at the left edge of picture 0; turned by 90 degrees it lies along the top.
    assert bar[:4].mean() > bar[40:].mean() + 100


def test_a_wrong_idea_of_the_time_stamps_is_noticed_and_made_good(playable, decode_all):
    path = playable / "h264.mp4"
    info = replace(probe(path), route=Route.SEEK)
    right = decode_all(path, 0)
    for wrong in (replace(info, pts_step=info.pts_step * 1.7), replace(info, first_pts=info.first_pts - 10**6)):
        assert np.array_equal(read_frames(path, wrong, [20, 21], np.array), right[20:22])


def test_truncated_and_damaged_files_are_used_as_far_as_they_go_and_reported(playable):
    truncated, damaged = probe(playable / "truncated.avi"), probe(playable / "damaged.avi")
    assert 10 < truncated.frames < 40 and truncated.problem
    assert "damaged" in damaged.problem
    assert truncated.route == damaged.route == Route.SCAN


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.avi", "is empty"),
        ("text.mp4", "Invalid data"),
        ("noise.avi", "Invalid data"),
        ("header_only.avi", ""),
        ("dangling.avi", "No such file"),
        ("sound.mp4", "has no video stream"),
    ],
)
def test_broken_files_have_a_reason(broken, name, reason):
    info = probe(broken / name)
    assert info.route == Route.BROKEN and info.problem and reason in info.problem
    assert str(broken) not in info.problem
    with pytest.raises(DecodeError):
        read_frames(broken / name, replace(info, frames=5), [0], np.array)


def test_a_folder_named_like_a_video_is_broken(tmp_path):
    assert probe(tmp_path).problem == "is a folder"


@pytest.mark.parametrize("name", ["mpeg4.avi", "b_frames.avi", "h264.mp4"])
def test_a_file_that_shrank_after_it_was_indexed_raises_one_kind_of_error(playable, name, tmp_path):
    info = probe(playable / name)
    content = (playable / name).read_bytes()
    for share in (0, 3, 30, 60):
        (tmp_path / name).write_bytes(content[: len(content) * share // 100])
        with pytest.raises(DecodeError):
            read_frames(tmp_path / name, info, [38, 39], np.array)


def _bytes_read(path):
    info = probe(path)
    return [
        frame.tobytes() for window in windows_of(info.frames) for frame in read_frames(path, info, window, np.array)
    ]


@pytest.mark.parametrize("name", ["h264.mp4", "b_frames.avi"])
def test_forked_processes_read_the_same(playable, name):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    here = _bytes_read(playable / name)  # readers were open in the parent before the fork: decord's would hang if kept
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_bytes_read, [playable / name] * 4).get(timeout=60) == [here] * 4


def test_a_mistake_in_the_program_does_not_pass_for_a_broken_file(playable, monkeypatch):
    def mistaken(*arguments):
        raise AttributeError("no such thing")

    info = probe(playable / "b_frames.avi")
    monkeypatch.setattr(decoding, "to_rgb", mistaken)
    with pytest.raises(AttributeError):
        read_frames(playable / "b_frames.avi", info, [0], np.array)
    monkeypatch.setattr("pvdm_lightning.data.index.probing._checksum", mistaken)
    with pytest.raises(AttributeError):
        probe(playable / "b_frames.avi")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "code"),
    [
        ("a.mov", "mjpeg", "yuvj420p", b"jpeg"),
        ("a.mp4", "libx264", "yuv420p", b"avc1"),
        ("a.avi", "mpeg4", "yuv420p", b"FMP4"),
        ("a.avi", "ffv1", "yuv444p", b"FFV1"),
        ("a.mkv", "libx264", "yuv420p", b"MPEG4/ISO/AVC"),
        ("a.webm", "libvpx-vp9", "yuv420p", b"VP9"),
    ],
)
def test_a_codec_without_a_decoder_breaks_its_video_alone(tmp_path, video_writer, name, codec, pix_fmt, code):
    content = video_writer(tmp_path / name, frames=3, codec=codec, pix_fmt=pix_fmt).read_bytes()
    assert code in content
    for other in (b"zzzz", b"CRAW", b"R10k", b"\0\0\0\0", b"braw", b"DXD3", b"\xff\xfe\xfd\xfc"):
        (tmp_path / name).write_bytes(content.replace(code, (other * 4)[: len(code)]))
        info = probe(tmp_path / name)
        assert info.frames == 3 or (info.route == Route.BROKEN and info.problem), (other, info)
    (tmp_path / name).write_bytes(content.replace(code, (b"zzzz" * 4)[: len(code)]))
    assert probe(tmp_path / name).problem == "is of a codec that FFmpeg has no decoder for"
    with pytest.raises(DecodeError, match="is of a codec that FFmpeg has no decoder for"):
        list(decoding.scan(tmp_path / name))
