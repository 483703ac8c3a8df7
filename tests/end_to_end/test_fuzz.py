"""Files of each kind, damaged and lying: an error in one line or none, within seconds and little memory."""

from __future__ import annotations

import copy
import json
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pvdm_lightning
from pvdm_lightning import CachedLatents, VideoPipeline
from pvdm_lightning.cli import program
from pvdm_lightning.cli.errors import users_mistake
from pvdm_lightning.data.videos import build_index, frame_folder, probing, video_index
from pvdm_lightning.data.videos.array_videos import ArrayVideos
from pvdm_lightning.data.videos.reading import read_video
from pvdm_lightning.pipeline.checkpoint import read_checkpoint

JUNK = [None, True, -1, 0, 2**70, 1e308, float("nan"), "x", "os.system", [], [1] * 100, {}, {"class_path": "os.system"}]
JUNK += [[[[[]]]], "\0", "a" * 10**5, {"a": {"b": {}}}]
TENSORS = [
    torch.zeros(0),
    torch.full((2,), float("nan")),
    torch.zeros(1).expand(10**9),
    torch.zeros(3, dtype=torch.int64),
]
LIMITED = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,  # the same files in each run: a test that fails now and then is no help
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def survives(read):
    """Call `read`: it may raise what a user is told in one line; 20 s and 2 GB are the most."""
    start, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read()
    except (ValueError, OSError) as error:
        said = users_mistake(error)
        if said is None and isinstance(error, ValueError) and "cannot be read" in str(error):
            said = str(error)  # of read_video
        assert said is not None and "\n" not in said, repr(error)
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2 * 2**20  # KiB


@st.composite
def damage(draw):
    """A way to damage bytes: cut, change some, or put others in."""
    kind, share = draw(st.sampled_from(["cut", "change", "insert"])), draw(st.floats(0, 1))
    some = draw(st.binary(min_size=1, max_size=8))

    def apply(content):
        place = int(share * len(content))
        tail = content[place + len(some) :] if kind == "change" else content[place:]
        return content[:place] if kind == "cut" else content[:place] + some + tail

    return apply


def nodes(tree, path=()):
    """Paths to all values of a tree."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from nodes(value, (*path, key))


def replaced(tree, path, value):
    tree = copy.deepcopy(tree)
    node = tree
    for key in path[:-1]:
        node = node[key]
    if value == "delete":
        del node[path[-1]]
    else:
        node[path[-1]] = value
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
    video = torch.randint(0, 255, (3, 6, 32, 32), dtype=torch.uint8)
    for name in ("a.mp4", "b.gif", "c.npy"):
        pvdm_lightning.write_video(video, folder / name)
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(video[:, number].permute(1, 2, 0).numpy()).save(folder / f"frames/{number}.png")
    return folder


@pytest.mark.parametrize("stage", ["ae", "ldm"])
@LIMITED
@given(data=st.data())
def test_checkpoints_that_lie(trained, tmp_path, stage, data):
    checkpoint = torch.load(trained[stage], weights_only=True)
    path = data.draw(st.sampled_from(list(nodes({k: v for k, v in checkpoint.items() if k != "state_dict"}))))
    if data.draw(st.booleans()):
        path = ("state_dict", data.draw(st.sampled_from(list(checkpoint["state_dict"]))))
    value = data.draw(st.sampled_from([*JUNK, *TENSORS, "delete"]).map(lambda value: value))
    torch.save(replaced(checkpoint, path, value), tmp_path / "lying.ckpt")
    survives(lambda: VideoPipeline.from_checkpoint(tmp_path / "lying.ckpt"))


@LIMITED
@given(apply=damage())
def test_damaged_checkpoints(trained, tmp_path, apply):
    (tmp_path / "damaged.ckpt").write_bytes(apply(trained["ae"].read_bytes()))
    survives(lambda: read_checkpoint(tmp_path / "damaged.ckpt", "--ckpt_path"))


@LIMITED
@given(data=st.data())
def test_saved_pipelines(saved, tmp_path, data):
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder, dirs_exist_ok=True)
    if data.draw(st.booleans()):
        file = folder / data.draw(st.sampled_from(["model.safetensors", "config.json"]))
        file.write_bytes(data.draw(damage())(file.read_bytes()))
    else:
        config = json.loads((folder / "config.json").read_text())
        path = data.draw(st.sampled_from(list(nodes(config))))
        config = replaced(config, path, data.draw(st.sampled_from([*JUNK, "delete"])))
        (folder / "config.json").write_text(json.dumps(config))
    survives(lambda: VideoPipeline.from_pretrained(folder))


@LIMITED
@given(data=st.data())
def test_caches(cache, tmp_path, data):
    folder = tmp_path / "copy"
    shutil.copytree(cache, folder, dirs_exist_ok=True)
    if data.draw(st.booleans()):
        file = data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())))
        (folder / file).write_bytes(data.draw(damage())((folder / file).read_bytes()))
    else:
        description = json.loads((folder / "cache.json").read_text())
        path = data.draw(st.sampled_from(list(nodes(description))))
        description = replaced(description, path, data.draw(st.sampled_from([*JUNK, "delete"])))
        (folder / "cache.json").write_text(json.dumps(description))

    def read():
        module = CachedLatents(str(folder), batch_size=4)
        module.setup()
        for loader in (module.train_dataloader(), module.val_dataloader()):
            list(loader)

    survives(read)


@LIMITED
@given(apply=damage(), which=st.sampled_from(["a.mp4", "b.gif", "c.npy", "frames/1.png"]))
def test_videos_and_pictures(videos, tmp_path, apply, which):
    shutil.copytree(videos, tmp_path / "copy", dirs_exist_ok=True)
    file = tmp_path / "copy" / which
    file.write_bytes(apply((videos / which).read_bytes()))

    def read():
        if which == "c.npy":
            source = ArrayVideos(file.parent, [file.name])
            if not source.problems:
                source.read(0, [0], (16, 16))
        else:
            read_video(file.parent if which.startswith("frames") else file)

    survives(read)


@LIMITED
@given(apply=damage())
def test_indices(videos, tmp_path, apply):
    shutil.copytree(videos, tmp_path / "copy", dirs_exist_ok=True)
    folder = tmp_path / "copy"
    build_index.load_or_build(folder, ["a.mp4", "b.gif"], probing.probe, progress=False)
    index = folder / video_index.FILE_NAME
    index.write_bytes(apply(index.read_bytes()))
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
        start = time.monotonic()
        assert "pixels" in frame_folder.probe(tmp_path / f"{side}").problem and time.monotonic() - start < 5
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
