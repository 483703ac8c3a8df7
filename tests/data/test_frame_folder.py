from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvdm_lightning.data.frame_folder import image_names, natural_key, probe, read_frames, read_image
from pvdm_lightning.data.video_info import DecodeError, Route, VideoInfo


def test_natural_order_follows_the_numbers() -> None:
    names = ["frame10.png", "frame9.png", "Frame1.png", "a2b10.png", "a2b9.png", "7.png"]
    ordered = ["7.png", "a2b9.png", "a2b10.png", "Frame1.png", "frame9.png", "frame10.png"]
    assert sorted(names, key=natural_key) == ordered


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, frame_folder_writer: Callable[..., Path]) -> None:
    folder = frame_folder_writer(tmp_path / "clip", 12, "frame{}.png")
    for stray in ("._frame3.png", "Thumbs.db", "notes.txt", ".DS_Store"):
        (folder / stray).write_bytes(b"stray")
    info = probe(folder)
    assert (info.frames, info.height, info.width, info.route) == (12, 48, 64, Route.IMAGES)
    frames = read_frames(folder, info, [9, 10, 11], np.array)
    assert [int(frame[0, :, 2].argmax()) for frame in frames] == [9, 10, 11]


def test_other_kinds_of_pictures_become_8_bit_rgb(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "gray.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "gray16.png")
    Image.fromarray(np.dstack([ramp, ramp, ramp, ramp // 2])).save(tmp_path / "rgba.png")
    Image.fromarray(ramp).convert("RGB").convert("P").save(tmp_path / "palette.png")
    for name in image_names(tmp_path):
        read = read_image(tmp_path / name)
        assert read.dtype == np.uint8 and read.shape == (8, 8, 3)
        assert np.abs(read.astype(int) - ramp[..., None]).max() <= (40 if name == "palette.png" else 0), name


def test_a_jpeg_named_png_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "frame0.png", format="jpeg")
    assert probe(tmp_path).codec == "jpeg" and read_image(tmp_path / "frame0.png").shape == (8, 8, 3)


def test_broken_folders_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "frame0.png").touch()
    assert probe(tmp_path / "empty") == VideoInfo(problem="has no pictures")
    assert probe(tmp_path / "missing").problem == "No such file or directory"
    assert probe(tmp_path / "damaged").route == Route.BROKEN and probe(tmp_path / "damaged").problem


def test_damage_further_on_names_the_picture(tmp_path: Path, frame_folder_writer: Callable[..., Path]) -> None:
    folder = frame_folder_writer(tmp_path / "clip", 6)
    info = probe(folder)
    content = (folder / "frame00004.png").read_bytes()
    (folder / "frame00004.png").write_bytes(content[: len(content) // 2])
    assert len(read_frames(folder, info, [0, 1, 2], np.array)) == 3
    with pytest.raises(DecodeError, match=r"frame00004\.png: "):
        read_frames(folder, info, [3, 4], np.array)
    Image.new("RGB", (10, 12)).save(folder / "frame00005.png")
    with pytest.raises(DecodeError, match=r"frame00005\.png is 10x12, the first one 64x48"):
        read_frames(folder, info, [5], np.array)
    (folder / "frame00000.png").unlink()
    with pytest.raises(DecodeError, match="has 5 pictures, 6 when it was indexed"):
        read_frames(folder, info, [1], np.array)
