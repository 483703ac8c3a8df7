"""Files of each kind, damaged and lying: an error in one line or none, within seconds and little memory."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import resource
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import pvdm_lightning
from pvdm_lightning import CachedLatents, VideoPipeline
from pvdm_lightning.cli import program
from pvdm_lightning.cli.console.errors import users_mistake
from pvdm_lightning.data.index import build_index, probing, video_index
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.metadata import read_metadata
from pvdm_lightning.data.videos.reading import read_video
from pvdm_lightning.pipeline.checkpoint import read_checkpoint

JUNK = [None, True, -1, 0, 2**40, 2**70, 1e308, float("nan"), float("inf"), "x", "os.system", "~/x", "$HOME", "../.."]
JUNK += ["\0", "\x1b[2J", "\ud800", "a" * 10**5, [], [1] * 100, [[[[]]]], {}, {"class_path": "os.system"}]
JUNK += [{"a": {"b": {}}}, "delete"]
TENSORS = [
    torch.zeros(0),
    torch.full((2,), float("nan")),
    torch.zeros(1).expand(10**9),
    torch.zeros(3, dtype=torch.int64),
    torch.zeros(2, 2).to_sparse(),
    torch.zeros(2, dtype=torch.complex64),
]
EXAMPLES = int(os.environ.get("PVDM_FUZZ_EXAMPLES", "0"))
"""Of each test; by `make fuzz`, which looks for new ones from a seed. Else there are few, the same in each run."""
LIMITED = settings(
    max_examples=EXAMPLES or 20,
    deadline=None,
    derandomize=EXAMPLES == 0,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def survives(read):
    """Call `read`: it may raise what a user is told in one line; 20 s of a processor and 2 GB are the most."""
    start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read()
    except (ValueError, OSError) as error:
        said = users_mistake(error)
        if said is None and isinstance(error, ValueError) and "cannot be read" in str(error):
            said = str(error)  # of read_video
        assert said is not None and "\n" not in said, repr(error)
    assert time.process_time() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2 * 2**20  # KiB


class Damage(NamedTuple):
    """A way to damage bytes: cut them, change some, or put others in, anywhere or near a mark of their format."""

    kind: str
    place: float
    some: bytes
    after_mark: int | None = None

    def to(self, content):
        place = int(self.place * len(content))
        marks = [match.start() for match in re.finditer(MARKS, content)]
        if self.after_mark is not None and marks:
            place = marks[int(self.place * (len(marks) - 1))] + self.after_mark
        tail = content[place + len(self.some) :] if self.kind == "change" else content[place:]
        return content[:place] if self.kind == "cut" else content[:place] + self.some + tail


MARKS = rb"PK[\1-\7][\1-\7]|NUMPY|IHDR|IDAT|GIF8|RIFF|LIST|avih|str[hf]|moov|trak|stsd|avc1|mp4a|\x1a\x45\xdf\xa3|[{]"
DAMAGE = st.builds(
    Damage,
    st.sampled_from(["cut", "change", "insert"]),
    st.floats(0, 1),
    st.binary(min_size=1, max_size=8),
    st.none() | st.integers(0, 64),
)


class Lie(NamedTuple):
    """A value put into the place of another one: the path to it, or its place among all as a share."""

    where: float | tuple
    value: object

    def told_by(self, tree):
        paths = list(nodes(tree))
        path = self.where if isinstance(self.where, tuple) else paths[int(self.where * (len(paths) - 1))]
        return replaced(tree, path, self.value)


LIE = st.builds(Lie, st.floats(0, 1), st.sampled_from(JUNK))


def nodes(tree, path=()):
    """Paths to all values of a tree."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from nodes(value, (*path, key))


def replaced(tree, path, value):
    """A copy of a tree with another value at a path, or without it."""
    tree = copy.copy(tree)
    if len(path) > 1:
        tree[path[0]] = replaced(tree[path[0]], path[1:], value)
    elif isinstance(value, str) and value == "delete":
        del tree[path[0]]
    else:
        tree[path[0]] = value
    return tree


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    VideoPipeline.from_checkpoint(trained["ldm"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cache(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "latents"
    program.main(
        ["encode", "--ckpt_path", str(trained["ae"]), "--output.dir", str(folder), "--trainer.accelerator", "cpu"]
    )
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    video = torch.randint(0, 255, (3, 6, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(0))
    for name in ("a.mp4", "b.gif", "c.npy"):
        pvdm_lightning.write_video(video, folder / name, metadata=None if name == "c.npy" else {"seed": 1})
    for name, codec, pixels in (
        ("d.avi", "mjpeg", "yuvj420p"),
        ("e.mkv", "ffv1", "yuv420p"),
        ("f.mov", "png", "rgb24"),
    ):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 32, 32, pixels
            for frame in video.permute(1, 2, 3, 0).contiguous().numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
            container.mux(stream.encode())
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(video[:, number].permute(1, 2, 0).numpy()).save(folder / f"frames/{number}.png")
    return folder


@pytest.mark.parametrize("stage", ["ae", "ldm"])
@LIMITED
@given(lie=LIE, of_weights=st.none() | st.tuples(st.floats(0, 1), st.sampled_from(TENSORS)))
def test_checkpoints_that_lie(trained, tmp_path, stage, lie, of_weights):
    checkpoint = torch.load(trained[stage], weights_only=True)
    if of_weights is None:
        weights = checkpoint.pop("state_dict")
        checkpoint = {**lie.told_by(checkpoint), "state_dict": weights}
    else:
        place, tensor = of_weights
        names = list(checkpoint["state_dict"])
        checkpoint["state_dict"][names[int(place * (len(names) - 1))]] = tensor
    torch.save(checkpoint, tmp_path / "lying.ckpt")
    survives(lambda: VideoPipeline.from_checkpoint(tmp_path / "lying.ckpt"))


@LIMITED
@given(damage=DAMAGE)
def test_damaged_checkpoints(trained, tmp_path, damage):
    (tmp_path / "damaged.ckpt").write_bytes(damage.to(trained["ae"].read_bytes()))
    survives(lambda: read_checkpoint(tmp_path / "damaged.ckpt", "--ckpt_path"))


@LIMITED
@given(harm=LIE | st.tuples(st.sampled_from(["model.safetensors", "config.json"]), DAMAGE))
def test_saved_pipelines(saved, tmp_path, harm):
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    if isinstance(harm, Lie):
        config = harm.told_by(json.loads((folder / "config.json").read_text()))
        (folder / "config.json").write_text(json.dumps(config))
    else:
        name, damage = harm
        (folder / name).write_bytes(damage.to((folder / name).read_bytes()))
    survives(lambda: VideoPipeline.from_pretrained(folder))


@LIMITED
@given(harm=LIE | st.tuples(st.floats(0, 1), DAMAGE))
def test_caches(cache, tmp_path, harm):
    folder = tmp_path / "copy"
    shutil.copytree(cache, folder, dirs_exist_ok=True)
    if isinstance(harm, Lie):
        description = harm.told_by(json.loads((folder / "cache.json").read_text()))
        (folder / "cache.json").write_text(json.dumps(description))
    else:
        place, damage = harm
        files = sorted(path for path in folder.iterdir() if path.is_file())
        file = files[int(place * (len(files) - 1))]
        file.write_bytes(damage.to(file.read_bytes()))

    def read():
        module = CachedLatents(str(folder), batch_size=4)
        module.setup()
        for loader in (module.train_dataloader(), module.val_dataloader()):
            list(loader)

    survives(read)


@LIMITED
@example(damage=Damage("cut", 0.9375, b"\0", 0), name="a.mp4")  # its codec is unknown
@given(damage=DAMAGE, name=st.sampled_from(["a.mp4", "b.gif", "c.npy", "d.avi", "e.mkv", "f.mov", "frames/1.png"]))
def test_videos_and_pictures(videos, tmp_path, damage, name):
    shutil.copytree(videos, tmp_path / "copy", dirs_exist_ok=True)
    file = tmp_path / "copy" / name
    file.write_bytes(damage.to((videos / name).read_bytes()))

    def read():
        if name == "c.npy":
            source = ArrayVideos(file.parent, [file.name])
            if not source.problems:
                source.read(0, [0], (16, 16))
        else:
            read_video(file.parent if name.startswith("frames") else file)

    survives(read)
    if name in ("a.mp4", "b.gif", "frames/1.png"):
        with contextlib.suppress(OSError, ValueError):
            read_metadata(file)


@LIMITED
@example(damage=Damage("change", 0.0, b"\xff", 4))  # needs a newer version of zip
@example(damage=Damage("change", 1.0, b"\xff", 6))
@given(damage=DAMAGE)
def test_indices(videos, tmp_path, damage):
    shutil.copytree(videos, tmp_path / "copy", dirs_exist_ok=True)
    folder = tmp_path / "copy"
    build_index.load_or_build(folder, ["a.mp4", "b.gif"], probing.probe, progress=False)
    index = folder / video_index.FILE_NAME
    index.write_bytes(damage.to(index.read_bytes()))
    survives(lambda: build_index.load_or_build(folder, ["a.mp4", "b.gif"], probing.probe, progress=False))
    index.unlink()


def test_pictures_and_arrays_that_claim_more_than_they_hold(tmp_path):
    import io
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (13000, 50000):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        data = zlib.compress(b"\0" * (1 + side))
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        (tmp_path / f"{side}").mkdir()
        (tmp_path / f"{side}/0.png").write_bytes(content)
        start = time.process_time()
        assert "pixels" in frame_folder.probe(tmp_path / f"{side}").problem and time.process_time() - start < 5
    frame = b"\x21\xf9\x04\0\x04\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    (tmp_path / "bomb.gif").write_bytes(screen + 20 * frame + b";")
    survives(lambda: probing.probe(tmp_path / "bomb.gif"))
    assert probing.probe(tmp_path / "bomb.gif").frames == 0
    for name, shape, size in (
        ("lie", (2**40, 1000, 1000, 3), 100),
        ("sparse", (20, 40000, 40000, 3), 20 * 40000**2 * 3),
    ):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with (tmp_path / f"{name}.npy").open("wb") as file:
            file.write(header.getvalue())
            file.truncate(len(header.getvalue()) + size)
    arrays = ArrayVideos(Path(tmp_path), ["lie.npy", "sparse.npy"])
    assert len(arrays.problems) == 2
