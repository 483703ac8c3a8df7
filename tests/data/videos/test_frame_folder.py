import os
import re

import numpy as np
import pytest
from PIL import ExifTags, Image

from pvdm_lightning.data.index.video_info import DecodeError, Route, VideoInfo
from pvdm_lightning.data.videos.frame_folder import image_names, natural_key, probe, read_frames, read_image, stamps


def test_natural_order_follows_the_numbers():
    names = ["frame10.png", "frame9.png", "Frame1.png", "a2b10.png", "a2b9.png", "7.png"]
    ordered = ["7.png", "a2b9.png", "a2b10.png", "Frame1.png", "frame9.png", "frame10.png"]
    assert sorted(names, key=natural_key) == ordered


def test_frames_come_in_the_order_of_their_numbers(tmp_path, frame_folder_writer):
    folder = frame_folder_writer(tmp_path / "clip", 12, "frame{}.png")
    for stray in ("._frame3.png", "Thumbs.db", "notes.txt", ".DS_Store"):
        (folder / stray).write_bytes(b"stray")
    info = probe(folder)
    assert (info.frames, info.height, info.width, info.route) == (12, 48, 64, Route.IMAGES)
    frames = read_frames(folder, info, [9, 10, 11], np.array)
    assert [int(frame[0, :, 2].argmax()) for frame in frames] == [9, 10, 11]


def test_other_kinds_of_pictures_become_8_bit_rgb(tmp_path):
    ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "gray.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "gray16.png")
    Image.fromarray(np.dstack([ramp, ramp, ramp, ramp // 2])).save(tmp_path / "rgba.png")
    Image.fromarray(ramp).convert("RGB").convert("P").save(tmp_path / "palette.png")
    for name in image_names(tmp_path):
        read = read_image(tmp_path / name)
        assert read.dtype == np.uint8 and read.shape == (8, 8, 3)
        assert np.abs(read.astype(int) - ramp[..., None]).max() <= (40 if name == "palette.png" else 0), name


def test_a_jpeg_named_png_is_read(tmp_path):
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "frame0.png", format="jpeg")
    assert probe(tmp_path).codec == "jpeg" and read_image(tmp_path / "frame0.png").shape == (8, 8, 3)


def test_broken_folders_have_a_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "frame0.png").touch()
    assert probe(tmp_path / "empty") == VideoInfo(problem="has no pictures")
    assert probe(tmp_path / "missing").problem == "No such file or directory"
    assert probe(tmp_path / "damaged").route == Route.BROKEN and probe(tmp_path / "damaged").problem


def test_damage_further_on_names_the_picture(tmp_path, frame_folder_writer):
    folder = frame_folder_writer(tmp_path / "clip", 6)
    info = probe(folder)
    content = (folder / "frame00004.png").read_bytes()
    (folder / "frame00004.png").write_bytes(content[: len(content) // 2])
    assert len(read_frames(folder, info, [0, 1, 2], np.array)) == 3
    with pytest.raises(DecodeError, match=r"frame00004\.png: "):
        read_frames(folder, info, [3, 4], np.array)
    Image.new("RGB", (10, 12)).save(folder / "frame00005.png")
    with pytest.raises(DecodeError, match=r"frame00005\.png is 10x12, frame00003\.png is 64x48"):
        read_frames(folder, info, [3, 5], np.array)
    (folder / "frame00000.png").unlink()
    with pytest.raises(DecodeError, match="has 5 pictures, 6 when it was indexed"):
        read_frames(folder, info, [1], np.array)


def test_pictures_written_again_at_another_size_are_read(tmp_path, frame_folder_writer):
    folder = frame_folder_writer(tmp_path / "clip", 2)
    info = probe(folder)
    for path in folder.iterdir():  # in place, so that the folder's time and its line of the index stay
        Image.new("RGB", (10, 12)).save(path)
    assert [picture.shape for picture in read_frames(folder, info, [0, 1], np.array)] == [(12, 10, 3)] * 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_pictures_are_turned_as_their_exif_says(tmp_path, suffix):
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned by a quarter clockwise
    path = tmp_path / f"frame0.{suffix}"
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    info = probe(tmp_path)
    assert (info.height, info.width) == (24, 16)
    assert np.abs(read_image(path).astype(int) - upright).max() < 16


def test_damage_to_the_exif_alone_spoils_no_picture(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "frame0.jpg", exif=b"Exif\x00\x00rubbish, no TIFF header")
    info = probe(tmp_path)
    assert (info.height, info.width, info.problem) == (6, 8, "")
    assert read_image(tmp_path / "frame0.jpg").shape == (6, 8, 3)


def test_a_picture_too_large_for_pillow_is_a_broken_one(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "frame0.png")
    info = probe(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert probe(tmp_path).problem.startswith("Image size (64 pixels) exceeds limit")
    with pytest.raises(DecodeError, match=r"frame0\.png: Image size"):
        read_frames(tmp_path, info, [0], np.array)


def test_stamps_change_when_a_picture_is_written_again(tmp_path, frame_folder_writer):
    folder = frame_folder_writer(tmp_path / "clip", 3)
    before = stamps(folder)
    assert before and stamps(folder) == before and stamps(tmp_path / "missing") == b""
    os.utime(folder / "frame00001.png", ns=(1, 1))
    assert stamps(folder) != before


RAMP = np.linspace(0, 1, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("values", "suffix", "options"),
    [
        (RAMP.astype(np.float32), "tif", {}),
        ((RAMP * 65535).round().astype(np.uint16), "tif", {}),
        ((RAMP * 65535).round().astype(np.uint16), "png", {}),
        ((RAMP * 65535).round().astype(np.int32), "ppm", {}),
        ((RAMP * 65535).round().astype(">u2"), "tif", {}),
        (((1 - RAMP) * 65535).round().astype(np.uint16), "tif", {"tiffinfo": {262: 0}}),
        ((RAMP * 255).round().astype(np.uint8), "webp", {"lossless": True}),
        ((RAMP * 255).round().astype(np.uint8), "tif", {}),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_every_kind_of_value_keeps_its_brightness(tmp_path, values, suffix, options):
    Image.fromarray(values).save(tmp_path / f"0.{suffix}", **options)
    assert np.array_equal(read_image(tmp_path / f"0.{suffix}")[..., 0], (RAMP * 255).round().astype(np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "webp", "bmp"])
def test_every_mode_shows_the_same_colours(tmp_path, mode, suffix):
    shades = np.repeat(np.array([[0, 255] * 8] * 16, np.uint8)[..., None], 3, axis=2)
    picture = Image.new("RGB", (16, 16), (0, 0, 0)) if mode == "LAB" else Image.fromarray(shades).convert(mode)
    if mode == "LAB":
        picture = Image.fromarray(np.full((16, 16, 3), (255, 0, 0), np.uint8), mode="LAB")
        shades = np.full_like(shades, 255)
    try:
        picture.save(tmp_path / f"0.{suffix}", quality=95)
    except (OSError, KeyError):
        pytest.skip("the format has no such mode")
    assert np.abs(read_image(tmp_path / f"0.{suffix}").astype(int) - shades).max() <= 3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (RAMP.astype(np.float32) * 255, "has float values from 0 to 255, and only [0, 1] is read"),
        (RAMP.astype(np.float32) * 2 - 1, "has float values from -1 to 1, and only [0, 1] is read"),
        (np.full((4, 4), np.nan, np.float32), "has float values from nan to nan, and only [0, 1] is read"),
        (np.full((4, 4), 70_000, np.int32), "has whole numbers from 70000 to 70000, and at most 16 bits"),
        (np.full((4, 4), 200, np.int32), "has whole numbers from 200 to 200, and at most 16 bits"),
        (np.full((4, 4), -1, np.int32), "has whole numbers from -1 to -1, and at most 16 bits"),
    ],
)
def test_values_of_unknown_range_break_the_video(tmp_path, values, reason):
    Image.fromarray(values).save(tmp_path / "0.tif")
    with pytest.raises(DecodeError, match=re.escape(f"0.tif: {reason}")):
        read_frames(tmp_path, probe(tmp_path), [0], np.array)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_a_file_of_several_pictures_is_no_frame(tmp_path, suffix):
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 90, 180)]
    frames[0].save(tmp_path / f"0.{suffix}", save_all=True, append_images=frames[1:])
    assert probe(tmp_path).problem == "holds several pictures, and a folder of frames has one a file"
    Image.new("L", (8, 8), 50).save(tmp_path / "0.tif", save_all=True, append_images=[Image.new("L", (2, 2))])
    assert read_image(tmp_path / "0.tif").max() == 50  # the second one is a thumbnail


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "0.png")
    assert probe(tmp_path).problem == "is no regular file"
