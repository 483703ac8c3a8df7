"""Feature vectors on the disk: what comes back, whose clips they are, and files of strangers."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import features
from pvdm_lightning.evaluation.features import (
    ClipFeatures,
    ClipId,
    FeatureParts,
    file_clips,
    file_identity,
    generated_clips,
)

CLIPS = [
    ClipId("a.mp4", "sha256:a", 3, 1, 16),
    ClipId("b.mp4", "sha256:b", 0, 2, 16),
    ClipId("a.mp4", "sha256:a", 7, 1, 16),
]


def some(clips=CLIPS, record=None):
    values = torch.randn(len(clips), 5, generator=torch.Generator().manual_seed(0))
    return ClipFeatures(values, clips, record or {"side": "real", "network": {"name": "n"}})


def test_features_survive_the_disk(tmp_path):
    written = some()
    written.save(tmp_path / "new/a.safetensors")
    read = ClipFeatures.load(tmp_path / "new/a.safetensors")
    assert torch.equal(read.values, written.values)
    assert (list(read.clips), read.record) == (CLIPS, written.record)
    assert read.list_hash == written.list_hash
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_the_hash_of_a_list_is_of_clips_and_not_of_names_or_order():
    hash_of = some().list_hash
    assert some(CLIPS[::-1]).list_hash == hash_of
    assert some([clip._replace(video="/elsewhere/" + clip.video) for clip in CLIPS]).list_hash == hash_of
    changes = [{"hash": "sha256:c"}, {"start": 4}, {"stride": 2}, {"frames": 17}, {"fps": 8.0}, {"fps": 16.0}]
    others = [some([CLIPS[0]._replace(**change), *CLIPS[1:]]) for change in changes] + [some(CLIPS[:2])]
    others += [some(generated_clips(range(2), "g", 16)), some(generated_clips(range(1, 3), "g", 16))]
    assert len({hash_of, *(one.list_hash for one in others)}) == 1 + len(others)


rates = st.lists(st.sampled_from([0.0, 8.0, 12.5, 30000 / 1001, 1e-3, 1e3]), min_size=1, max_size=6)


@settings(deadline=None)
@given(rates, rates)
def test_rates_survive_the_disk_and_tell_lists_apart(one, other):
    sides = [
        some([CLIPS[0]._replace(start=place, fps=rate) for place, rate in enumerate(those)]) for those in (one, other)
    ]
    assert (sides[0].list_hash == sides[1].list_hash) == (one == other)
    with tempfile.TemporaryDirectory() as folder:
        sides[0].save(Path(folder) / "a.safetensors")
        assert list(ClipFeatures.load(Path(folder) / "a.safetensors").clips) == list(sides[0].clips)


def test_a_hash_of_a_video_is_its_content(tmp_path, monkeypatch):
    def write(name, content):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        return file_identity(tmp_path / name)

    assert write("a.mp4", b"one") == write("b.mp4", b"one") != write("c.mp4", b"two")
    monkeypatch.setattr(features, "WHOLE", 100)
    monkeypatch.setattr(features, "ENDS", 50)
    large = [write(f"{n}.mp4", content * 100) for n, content in enumerate((b"one", b"one", b"two", b"ones"))]
    assert large[0] == large[1] and len({*large}) == 3 and large[0].startswith("sha256-ends:")
    pictures = []
    for name, colour in (("x", 1), ("y", 1), ("z", 2)):
        (tmp_path / name).mkdir()
        for frame in range(3):
            Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(tmp_path / name / f"{frame}.png")
        pictures.append(file_identity(tmp_path / name))
    assert pictures[0] == pictures[1] != pictures[2] and pictures[0].startswith("sha256-frames:")
    assert file_identity(tmp_path / "drawn 1") != file_identity(tmp_path / "drawn 2")
    assert file_clips([("drawn", 1, 0.0), ("drawn", 2, 12.5)], 3, 16)[1][2:] == (2, 3, 16, 12.5)


def test_parts_of_processes_are_put_in_order(tmp_path):
    values = torch.arange(12.0).reshape(6, 2)
    parts = [FeatureParts(tmp_path / str(rank), 2) for rank in range(3)]  # the last one has nothing
    for rank, numbers in ((0, [4, 0]), (1, [5, 1]), (0, [3]), (1, [1])):
        parts[rank].add(values[numbers], torch.tensor(numbers))
    for part in parts:
        part.close()
    merged, numbers = parts[0].merged([part.path for part in parts])
    assert numbers == [0, 1, 3, 4, 5]
    assert torch.equal(merged, values[numbers])


def broken_files(folder):
    """(what is wrong, content) of files that are none of ours."""
    good = {"features": torch.zeros(2, 3), "clips": torch.tensor([[0, 0, 1, 16], [0, 1, 1, 16]])}
    texts = {"videos": json.dumps([["a", "b"]]), "record": "{}"}
    for name, tensors, header in (
        ("no clips", {"features": good["features"]}, texts),
        ("no header", good, {}),
        ("halves", good | {"features": torch.zeros(2, 3).half()}, texts),
        ("flat", good | {"features": torch.zeros(6)}, texts),
        ("too few clips", good | {"clips": good["clips"][:1]}, texts),
        ("wide", good | {"features": torch.zeros(2, 9000)}, texts),
        ("not finite", good | {"features": torch.full((2, 3), torch.nan)}, texts),
        ("unknown video", good | {"clips": good["clips"] + torch.tensor([1, 0, 0, 0])}, texts),
        ("negative video", good | {"clips": good["clips"] - torch.tensor([1, 0, 0, 0])}, texts),
        ("no frames", good | {"clips": good["clips"] * torch.tensor([1, 1, 1, 0])}, texts),
        ("record a list", good, texts | {"record": "[]"}),
        ("deep", good, texts | {"record": "[" * 10**5}),
        ("videos no pairs", good, texts | {"videos": '["a"]'}),
        *(
            (f"rate {rate}", good, texts | {"videos": json.dumps([["a", "b", *rate]])})
            for rate in ([-1], [float("nan")], [float("inf")], ["x"], [1, 2], [None])
        ),
    ):
        save_file(tensors, folder / name, header)
        yield name
    whole = (folder / "no clips").read_bytes()
    for name, content in (("cut", whole[:-5]), ("empty", b""), ("text", b"no features at all"), ("zeros", bytes(99))):
        (folder / name).write_bytes(content)
        yield name
    header = b'{"features":{"dtype":"F32","shape":[1000000000,400],"data_offsets":[0,1600000000000]}}'
    (folder / "claims").write_bytes(len(header).to_bytes(8, "little") + header)
    yield "claims"


def test_files_that_are_none_are_refused_in_a_line(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(InvalidArgumentError, match=r"^--features .*: is no file of features \(.*\)\. Give one"):
            ClipFeatures.load(tmp_path / name, "--features")
    with pytest.raises(InvalidArgumentError, match="there is no such file"):
        ClipFeatures.load(tmp_path / "absent", "--features")
    with pytest.raises(InvalidArgumentError, match=r"cannot be read \(Is a directory\)"):
        ClipFeatures.load(tmp_path, "--features")
