"""Videos, arrays and metadata of unknown origin: read as what they are, within limits, and nothing that they name."""

import contextlib
import io
import os
import re
import socket
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pvdm_lightning import write_video
from pvdm_lightning.data.index import probing, video_index
from pvdm_lightning.data.index.video_info import DecodeError, Route
from pvdm_lightning.data.index.video_tree import read_list
from pvdm_lightning.data.videos import decoding, frame_folder, metadata
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.npz import read_npz
from pvdm_lightning.errors import InvalidArgumentError

VIDEO = torch.randint(0, 255, (3, 8, 32, 32), dtype=torch.uint8)
REFUSED = "is in no format of videos that is read|Invalid data"  # of a format that FFmpeg does not recognise
NAMES = ["video.mp4", "udp:x.mp4", os.fsdecode(b"caf\xe9.mp4")]
FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def playlists(folder, port):
    """Files that FFmpeg takes for lists of other files, or of addresses."""
    other = folder / "other.mp4"
    write_video(VIDEO, other)
    udp = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n"
    return {
        "sdp": udp + "a=rtpmap:96 H264/90000\r\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "hls of a server": f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {other.name}\n",
        "dash": f'<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{other}</BaseURL></Period></MPD>',
        "rtsp": f"rtsp://127.0.0.1:{port}/x",
        "asx": f'<asx version="3.0"><entry><ref href="http://127.0.0.1:{port}/x"/></entry></asx>',
        "picture": None,
    }


@pytest.mark.parametrize("name", [*NAMES, "list.m3u8", "list.sdp"])
def test_a_file_opens_no_other_and_no_socket(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        for kind, content in playlists(tmp_path, listening.getsockname()[1]).items():
            path = tmp_path / name
            if content is None:
                Image.new("RGB", (32, 32)).save(path, "BMP")
            else:
                path.write_text(content)
            info = probing.probe(path)
            assert info.route == Route.BROKEN and re.search(REFUSED, info.problem), kind
            with contextlib.suppress(OSError):
                assert metadata.read_metadata(path) is None
            assert not decoding.decord_may_open(path)
            with pytest.raises(BlockingIOError):
                listening.accept()


@pytest.mark.parametrize("name", NAMES)
def test_videos_of_all_names_are_read(tmp_path, name):
    write_video(VIDEO, tmp_path / name, metadata={"a": 1})
    assert probing.probe(tmp_path / name).frames == 8
    assert metadata.read_metadata(tmp_path / name) == {"a": 1}


def test_pictures_in_formats_that_start_programs(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png", "EPS")
    assert "cannot identify" in frame_folder.probe(tmp_path).problem
    with pytest.raises(OSError):
        frame_folder.read_image(tmp_path / "0.png")
    with pytest.raises(OSError):
        metadata.read_metadata(tmp_path / "0.png")


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "MPO"])
def test_pictures_are_read_whatever_their_names_say(tmp_path, kind):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "0.png", kind)
    assert frame_folder.read_image(tmp_path / "0.png").shape == (8, 8, 3)


def test_pipes_and_devices_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for suffix in (".mp4", ".npy", ".png"):
        (tmp_path / f"pipe{suffix}").symlink_to(tmp_path / "pipe")
        (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        assert probing.probe(tmp_path / f"{name}.mp4").problem == "is no regular file"
        assert ArrayVideos(tmp_path, [f"{name}.npy"]).problems == {0: "is no regular file"}
        folder = tmp_path / f"{name}_frames"
        folder.mkdir()
        (folder / "0.png").symlink_to(tmp_path / f"{name}.png")
        assert frame_folder.probe(folder).problem == "is no regular file"
        for suffix in (".mp4", ".png"):
            with pytest.raises(OSError, match="no regular file"):
                metadata.read_metadata(tmp_path / f"{name}{suffix}")
        with pytest.raises(InvalidArgumentError, match=r"cannot be read \(is no regular file\)"):
            read_list("train_list", str(tmp_path / f"{name}.mp4"))


@pytest.mark.parametrize("text", ["[" * 200_000, "[1]", "3", "{", "x" * 2**21, '{"a": ' + "9" * 5000 + "}", "\0"])
def test_comments_that_are_no_metadata(tmp_path, text):
    about = PngInfo()
    about.add_text("Comment", text, zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=about)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.gif", comment=text.encode())
    np.savez(tmp_path / "a.npz", metadata=np.array(text))
    for name in ("a.png", "a.gif", "a.npz"):
        try:
            assert metadata.read_metadata(tmp_path / name) is None
        except OSError as error:
            assert "cannot be read" in str(error)


def header(descr="|u1", shape=(2, 4, 4, 3)):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


NPY = header() + bytes(2 * 4 * 4 * 3)


@FAST
@given(
    place=st.integers(0, len(header())), some=st.binary(max_size=6), kind=st.sampled_from(["cut", "change", "insert"])
)
@example(place=NPY.index(b"}"), some=b" ", kind="change")
@example(place=NPY.index(b"}"), some=b"\x00" * 3, kind="change")
def test_damaged_headers_of_arrays(tmp_path, place, some, kind):
    damaged = NPY[:place] + some + (b"" if kind == "cut" else NPY[place + (len(some) if kind == "change" else 0) :])
    (tmp_path / "a.npy").write_bytes(damaged)
    videos = ArrayVideos(tmp_path, ["a.npy"])
    assert videos.problems or videos.sizes == [(4, 4)]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", damaged)
    with contextlib.suppress(ValueError):
        read_npz(tmp_path / "a.npz", ["a"])


@pytest.mark.parametrize(
    "content",
    [
        header(shape=(2**40, 4, 4, 3)),
        header(shape=(-1, 4, 4, 3)) + bytes(100),
        header(descr="|O") + bytes(2000),
        header(shape=(3,)) + bytes(3),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x03\x00",
        b"PK\x03\x04" + bytes(100),
        b"",
    ],
)
def test_arrays_that_lie(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    assert ArrayVideos(tmp_path, ["a.npy"]).problems


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed")
    for name in "ab":
        write_video(VIDEO, folder / f"{name}.mp4")
    from pvdm_lightning.data.index.build_index import load_or_build

    load_or_build(folder, ["a.mp4", "b.mp4"], probing.probe, progress=False)
    return folder


@FAST
@given(data=st.data())
def test_every_field_of_an_index_may_be_damaged(indexed, data):
    """In the directory of the archive, which the format's readers trust: versions, flags, methods, sizes, places."""
    path = indexed / video_index.FILE_NAME
    whole = path.read_bytes()
    directory = whole.index(b"PK\x01\x02")
    place = data.draw(st.integers(directory, len(whole) - 1))
    try:
        path.write_bytes(whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :])
        found = video_index.load_index(indexed)
        assert found is None or len(found) == 2
    finally:
        path.write_bytes(whole)


def test_an_index_sends_no_playlist_to_decord(tmp_path):
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    info = probing.VideoInfo(8, 32, 32, 25.0, "h264", 0, Route.DECORD, 0, 1.0)
    with pytest.raises(DecodeError, match=REFUSED):
        decoding.read_frames(tmp_path / "a.mp4", info, [0], lambda frame: frame)
