"""Videos are read as players show them: turned, mirrored, widened, without covers, whatever their names."""

import json
import os
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import pvdm_lightning
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.video_tree import find_videos
from pvdm_lightning.data.videos.display import orientation
from pvdm_lightning.escaping import printable

FRAMES = 20


@pytest.fixture(scope="module")
def picture():
    """[48 64 3], different in all corners."""
    y, x = np.mgrid[:48, :64]
    return np.stack([255 * x // 63, 255 * y // 47, 128 + 0 * x], axis=2).astype(np.uint8)


def write(path, picture, aspect=None, title=None):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "8"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if title is not None:
            container.metadata["title"] = title
        for number in range(FRAMES):
            shade = np.clip(picture.astype(int) - 2 * number, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        container.mux(stream.encode())


def with_matrix(source, path, a, b, c, d):
    """The same file with another display matrix in its track header."""
    content = bytearray(source.read_bytes())
    place = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version 0: times and ids, reserved, layer to volume
    assert struct.unpack(">9i", content[place : place + 36])[0] == 65536
    unit = 65536
    content[place : place + 36] = struct.pack(">9i", a * unit, b * unit, 0, c * unit, d * unit, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def rows_printable(picture, a, b, c, d):
    """A point (x, y) of the picture is shown at (a x + c y, b x + d y)."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    out = np.zeros((to_y.max() + 1, to_x.max() + 1, 3), picture.dtype)
    out[to_y, to_x] = picture
    return out


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (-1, 0, 0, -1),
        (0, 1, -1, 0),
        (0, -1, 1, 0),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_each_way_to_turn_and_mirror(tmp_path, picture, matrix):
    write(tmp_path / "plain.mp4", picture)
    with_matrix(tmp_path / "plain.mp4", tmp_path / "shown.mp4", *matrix)
    plain, video = (pvdm_lightning.read_video(tmp_path / name, [0, 7]) for name in ("plain.mp4", "shown.mp4"))
    for one, other in zip(plain.unbind(1), video.unbind(1)):
        expected = rows_printable(one.permute(1, 2, 0).numpy(), *matrix)
        assert np.array_equal(other.permute(1, 2, 0).numpy(), expected)


def test_a_turn_of_45_degrees_is_broken(tmp_path):
    class Frame:
        side_data = ()

    class Data(bytes):
        type = type("Type", (), {"name": "DISPLAYMATRIX"})

    half = round(65536 * 0.5**0.5)
    frame = Frame()
    frame.side_data = (Data(struct.pack("=9i", half, half, 0, -half, half, 0, 0, 0, 1 << 30)),)
    assert orientation(frame) is None


@pytest.mark.parametrize(
    ("aspect", "width"), [(Fraction(2), 128), (Fraction(1, 2), 32), (Fraction(4, 3), 85), (Fraction(100), 64)]
)
def test_pixels_that_are_not_square(tmp_path, picture, aspect, width):
    write(tmp_path / "video.mp4", picture, aspect)
    info = probing.probe(tmp_path / "video.mp4")
    assert (info.frames, info.height, info.width) == (FRAMES, 48, width)
    video = pvdm_lightning.read_video(tmp_path / "video.mp4")
    assert video.shape == (3, FRAMES, 48, width)
    # What lies at a share of the width lies there still.
    red = video[0, 0, 24].float()
    assert (red - torch.linspace(0, 255, width)).abs().mean() < 8


def test_names_are_bytes(tmp_path, picture, capfd):
    write(tmp_path / "video.mp4", picture)
    content = (tmp_path / "video.mp4").read_bytes()
    names = [
        b"12:30:15.mp4",
        b"caf\xe9.mp4",
        b"new\nline.mp4",
        b"-dash.mp4",
        b"hash#percent%03d.mp4",
        "emoji \U0001f600.mp4".encode(),
    ]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    (tmp_path / "video.mp4").unlink()
    found = find_videos(tmp_path)
    assert len(found) == len(names)
    for name in found:
        info = probing.probe(tmp_path / name)
        assert info.frames == FRAMES, (name, info.problem)
        assert torch.equal(
            pvdm_lightning.read_video(tmp_path / name, [3]), pvdm_lightning.read_video(tmp_path / found[0], [3])
        )
        assert "\n" not in printable(name) and printable(name).encode()
    assert capfd.readouterr().err == ""


def test_a_report_holds_names_that_are_no_text(tmp_path, picture, monkeypatch, capsys):
    from pvdm_lightning import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    write(tmp_path / "set/good.mp4", picture)
    name = b"set/caf\xe9.mp4"
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    cli.main(["check-data", "--data", "VideoFolder", "--data.root", "set", "--report", "report.json"])
    said = capsys.readouterr().out
    assert said.count("broken: ") == 1 and "caf\\udce9.mp4" in said
    paths = [video["path"] for video in json.loads((tmp_path / "report.json").read_text())["videos"]]
    assert name in map(os.fsencode, paths)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, picture, monkeypatch):
    for folder in ("open", "closed"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "video.mp4", picture)
    scandir = os.scandir

    def refused(path="."):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)  # the tests may run as root, who may read all
    assert find_videos(tmp_path) == ["closed", "open/video.mp4"]
    assert probing.probe(tmp_path / "closed").problem == "Permission denied"
