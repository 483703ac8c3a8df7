"""Small videos of every awkward kind, made with PyAV once a session."""

import json
import shutil
import struct

import av
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from pvdm_lightning.data.videos import video_libraries


def picture(number, height=48, width=64):
    """A picture that tells its number: a bright bar that wanders over a gradient."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(0, 200, width, dtype=np.uint8)[None]
    frame[..., 1] = np.linspace(0, 200, height, dtype=np.uint8)[:, None]
    frame[:, number % width : number % width + 6] = 255 - (number * 7) % 128
    return frame


def write_video(
    path,
    frames=40,
    codec="mpeg4",
    size=(48, 64),
    pix_fmt="yuv420p",
    options=None,
    stamps=None,
    max_b_frames=0,
    gop_size=12,
    first=0,
):
    """Encode `frames` pictures from `first` on; `stamps` gives their times where they are uneven."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = gop_size
        stream.codec_context.max_b_frames = max_b_frames
        for number in range(frames):
            drawn = picture(first + number, *size)
            frame = av.VideoFrame.from_ndarray(drawn, format="rgb24").reformat(format=pix_fmt)
            frame.pts = number if stamps is None else stamps[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def rotate_by_90(path):
    """Write a quarter turn into the track header of an MP4 file, as telephones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def make_folder(root):
    write_video(root / "mpeg4.avi")
    write_video(root / "b_frames.avi", max_b_frames=2)
    write_video(root / "Café 視頻 (1).avi", max_b_frames=2)
    write_video(root / "h264.mp4", codec="libx264", max_b_frames=3)
    write_video(root / "one_key_frame.mp4", codec="libx264", gop_size=400)
    write_video(root / "UPPER.MKV", codec="libx264")
    write_video(root / "vp9.webm", codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    write_video(root / "rotated.mp4", codec="libx264", size=(64, 96))
    rotate_by_90(root / "rotated.mp4")
    write_video(root / "odd_size.avi", size=(45, 63), codec="ffv1", pix_fmt="yuv444p")
    write_video(root / "odd_420.avi", size=(45, 63))
    write_video(root / "gray.avi", codec="ffv1", pix_fmt="gray")
    write_video(root / "ten_bit.mp4", codec="libx264", pix_fmt="yuv420p10le")
    write_video(root / "uneven_times.mkv", codec="libx264", stamps=[number**2 for number in range(40)])
    write_video(root / "tiny.avi", size=(2, 2), codec="ffv1", pix_fmt="bgr0")
    write_video(root / "one_frame.avi", frames=1)
    whole = (root / "b_frames.avi").read_bytes()
    start = whole.index(b"movi")
    (root / "truncated.avi").write_bytes(whole[: start + (len(whole) - start) * 6 // 10])
    damaged = bytearray(whole)
    middle = (start + len(whole)) // 2
    damaged[middle : middle + 300] = bytes(300)
    (root / "damaged.avi").write_bytes(damaged)
    return root


def make_broken(root):
    root.mkdir()
    (root / "empty.avi").touch()
    (root / "text.mp4").write_text("this is no video\n" * 50)
    (root / "noise.avi").write_bytes(np.random.default_rng(0).bytes(5000))
    whole = write_video(root / "header_only.avi").read_bytes()
    (root / "header_only.avi").write_bytes(whole[:1200])
    (root / "dangling.avi").symlink_to("nowhere.avi")
    with av.open(str(root / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return root


CAMERA = "observation.images.top"


def join_videos(parts, path):
    """Copy the packets of several files into one, as FFmpeg joins them: every frame decodes to the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as joined:
        stream, start = None, 0
        for part in parts:
            with av.open(str(part)) as container:
                video = container.streams.video[0]
                stream = stream or joined.add_stream_from_template(video, opaque=True)
                length = video.frames * int(1 / (video.average_rate * video.time_base))
                for packet in container.demux(video):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                        joined.mux(packet)
                start += length
    return path


def write_lerobot(root, version, episodes, files=None, camera=CAMERA, tasks=(), splits=None, parts=None, **how):
    """A LeRobot data set: `episodes` are numbers of frames, `files` the episodes in each file of version 3.

    `parts` is a folder that keeps the videos of single episodes for another set: in three of a hundred times, libx264
    makes another file of the same frames.
    """
    fps, meta = 25, root / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    own = [(parts or root.parent / f"{root.name}-parts") / f"{number}.mp4" for number in range(len(episodes))]
    for number, (video, frames) in enumerate(zip(own, episodes)):
        if not video.exists():
            write_video(video, frames, first=17 * number, **how)
    path = {
        2: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        3: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }[version]
    info = {
        "codebase_version": {2: "v2.1", 3: "v3.0"}[version],
        "fps": fps,
        "chunks_size": 1000,
        "splits": splits or {"train": f"0:{len(episodes)}"},
        "video_path": path,
        "features": {camera: {"dtype": "video", "shape": [48, 64, 3]}, "action": {"dtype": "float32", "shape": [2]}},
    }
    (meta / "info.json").write_text(json.dumps(info))
    rows = [
        {"episode_index": number, "length": frames, "tasks": [tasks[number]] if tasks else ["push"]}
        for number, frames in enumerate(episodes)
    ]
    if version == 2:
        (meta / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for number, video in enumerate(own):
            target = root / path.format(episode_chunk=0, video_key=camera, episode_index=number)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(video, target)
        return root
    for file, numbers in enumerate(files):
        join_videos(
            [own[number] for number in numbers], root / path.format(video_key=camera, chunk_index=0, file_index=file)
        )
        start = 0
        for number in numbers:
            end = start + episodes[number]
            place = {"chunk_index": 0, "file_index": file, "from_timestamp": start / fps, "to_timestamp": end / fps}
            rows[number] |= {f"videos/{camera}/{name}": value for name, value in place.items()}
            start = end
    (meta / "episodes/chunk-000").mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), meta / "episodes/chunk-000/file-000.parquet")
    return root


@pytest.fixture
def lerobot_writer():
    """Writes a LeRobot data set of version 2 or 3, see `write_lerobot`."""
    return write_lerobot


@pytest.fixture(scope="session")
def playable(tmp_path_factory):
    """Files that can be read, each awkward in its own way."""
    return make_folder(tmp_path_factory.mktemp("playable"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """Files named like videos from which no frame can be had."""
    return make_broken(tmp_path_factory.mktemp("videos") / "broken")


@pytest.fixture
def video_writer():
    return write_video


@pytest.fixture
def frame_folder_writer():
    """Writes numbered pictures into a folder."""

    def write(folder, frames, pattern="frame{:05d}.png"):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(frames):
            Image.fromarray(picture(number)).save(folder / pattern.format(number))
        return folder

    return write


@pytest.fixture
def decode_all():
    """Every frame of a file in the order PyAV decodes them: what all routes have to agree with."""

    def decode(path, rotation=0):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return [np.rot90(frame, rotation // 90) for frame in frames]

    return decode


@pytest.fixture
def without_decord(monkeypatch):
    """As on a Mac, where decord cannot be installed."""
    monkeypatch.setattr(video_libraries, "decord", lambda: None)


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    """An empty folder in place of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pvdm_lightning"
