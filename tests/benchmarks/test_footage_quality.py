"""`quality` and `showcase` of data whose factors are not known: textures that move, reddish ones and bluish ones."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks import quality, showcase
from benchmarks.yardstick.controls import blurred
from benchmarks.yardstick.footage import Classifier, Footage, thumbnails
from pvdm_lightning import VideoPipeline
from pvdm_lightning.data.output.writing import write_video
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline import Sampling

SIDE, FRAMES, LENGTH = 32, 4, 16
CLASSES = ("blue", "red")


def texture(name, seed):
    """A video of a class, uint8 [3 LENGTH SIDE SIDE], which moves by two pixels a frame."""
    draws = torch.Generator().manual_seed(seed)
    still = torch.nn.Upsample(SIDE, mode="bilinear")(torch.rand(1, 1, 8, 8, generator=draws))[0]
    still = 0.5 * still + 0.5 * torch.rand(1, SIDE, SIDE, generator=draws)
    still = still * torch.linspace(1, 0.3, SIDE)[:, None]
    colours = torch.tensor({"red": [200, 80, 80], "blue": [80, 80, 200]}[name])[:, None, None]
    return torch.stack([(still * colours).to(torch.uint8).roll(2 * t, dims=2) for t in range(LENGTH)], dim=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("textures")
    for split, first in (("train", 0), ("test", 1000)):
        for number, name in enumerate(CLASSES):
            for index in range(12):
                path = root / split / name / f"{index}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(texture(name, first + 100 * number + index), path)
    return root


class Textures:
    """A pipeline whose samples are held-out clips, of the classes asked for."""

    clip_shape = (FRAMES, SIDE, SIDE)
    denoiser = SimpleNamespace(conditions=("previous", "label"))
    sampling = Sampling()
    first_stage = SimpleNamespace(autoencoder=SimpleNamespace(config={"patch": 8}))

    def __init__(self, root):
        self.about = {
            "steps": 7,
            "data": {"class_path": "pvdm_lightning.VideoFolder", "init_args": {"root": str(root)}},
        }

    def reconstruct(self, clips):
        return blurred(clips)

    def sample(self, num_videos, num_frames=None, class_names=None, **sampling):
        footage, names = Footage(self, "textures"), class_names or CLASSES
        of = {name: list(footage.clips("val", num_videos, label=CLASSES.index(name), draw=2)[0]) for name in names}
        clips = torch.stack([of[names[number % len(names)]].pop() for number in range(num_videos)])
        return clips.repeat(1, 1, (num_frames or FRAMES) // FRAMES, 1, 1)


@pytest.fixture
def textures(monkeypatch, folder):
    pipeline = Textures(folder)
    monkeypatch.setattr(quality, "load_pipeline", lambda path: pipeline)
    monkeypatch.setattr(showcase, "load_pipeline", lambda path: pipeline)
    pooled = lambda clips: F.adaptive_avg_pool3d(clips.double() / 255, (2, 4, 4)).flatten(1)  # noqa: E731
    monkeypatch.setattr(quality, "network_if_installed", lambda: pooled)
    return pipeline


def test_the_columns_order_real_and_spoiled_clips(bench, textures, tmp_path):
    printed = bench("quality", "some.ckpt", "--num-videos", 24, "--controls", "--out", tmp_path / "q.json")
    figures = json.loads((tmp_path / "q.json").read_text())
    rows = figures["rows"]
    names = ["real", "trained on", "blurred", "shuffled", "noise", "frozen", "reconstructions", "samples", "by class"]
    assert list(rows) == names and figures["steps"] == 7 and all(name in printed for name in names)

    def of(column):
        return {name: row[column][0] for name, row in rows.items()}

    for column in ("Frechet", "kernel"):
        apart = of(column)
        assert max(apart["real"], apart["samples"], apart["by class"]) < min(apart["shuffled"], apart["noise"])
    moved, apart, near, shown = of("motion"), of("motions"), of("nearest"), of("class")
    assert moved["real"] == 1 == near["real"] == shown["real"] and apart["real"] == 0
    assert moved["frozen"] == 0 < moved["blurred"] < 0.8 < moved["samples"] < 1.2 < moved["noise"]
    assert apart["frozen"] == pytest.approx(1) and apart["samples"] < 0.2 < apart["blurred"] < apart["noise"]
    assert near["trained on"] < 0.75 and 0.9 < near["by class"] < 1.1
    assert shown["by class"] == shown["blurred"] == 1 and shown["noise"] == 0.5 and math.isnan(shown["samples"])
    for row in rows.values():
        assert all(
            math.isnan(row[name][0]) or row[name][1] <= row[name][0] <= row[name][2]
            for name in row.keys() - {"motions"}
        )
    assert figures["classes"]["red"]["by class"][0] == figures["classes"]["blue"]["real"][0] == 1


def test_clips_are_spread_over_videos_and_come_again_only_with_their_draw(textures, folder):
    footage = Footage(textures, "textures", str(folder))
    clips, labels = footage.clips("val", 12)
    assert clips.shape == (12, 3, FRAMES, SIDE, SIDE) and np.bincount(labels).tolist() == [6, 6]
    assert torch.equal(clips, footage.clips("val", 12)[0]) and not torch.equal(
        clips, footage.clips("val", 12, draw=1)[0]
    )
    many, _ = footage.clips("val", 30)
    assert not torch.equal(many[:6], many[24:]) and set(footage.clips("train", 5, label=1)[1]) == {1}
    assert footage.longest("val") == LENGTH and footage.trained_on().shape == (48, 3 * 4 * 16 * 16)
    with pytest.raises(InvalidArgumentError, match=r"has no val video of class blue of 99 frames"):
        footage.clips("val", 1, frames=99, label=0)


def test_a_checkpoint_that_does_not_say_its_data_is_told_so(textures):
    for data in ({}, {"class_path": "os.system", "init_args": {}}):
        textures.about["data"] = data
        with pytest.raises(InvalidArgumentError, match="checkpoint some: does not say which"):
            Footage(textures, "some")


def test_the_classifier_learns_what_separates_classes_and_no_more():
    draws = torch.Generator().manual_seed(0)
    labels = np.arange(400) % 4
    apart = 3 * torch.eye(8)[labels] + torch.randn(400, 8, generator=draws)
    assert (Classifier(apart[:200], labels[:200], 4)(apart[200:]) == labels[200:]).mean() > 0.85
    noise = torch.randn(400, 8, generator=draws)
    assert (Classifier(noise[:200], labels[:200], 4)(noise[200:]) == labels[200:]).mean() < 0.4


def test_thumbnails_of_a_clip():
    clip = torch.zeros(1, 3, 3, 16, 16, dtype=torch.uint8)
    assert thumbnails(clip).shape == (1, 3 * 4 * 16 * 16)


def test_a_class_a_row_real_beside_sampled(bench, monkeypatch, textures, tmp_path):
    videos = {}
    monkeypatch.setattr(showcase, "write_webp", lambda video, path, fps: videos.update({path.name: video}))
    bench("showcase", "some.ckpt", "--out", tmp_path, "--columns", 2, "--rows", 1)
    assert set(videos) == {"samples.webp", "long.webp", "classes.webp"}
    assert videos["classes.webp"].shape == (3, FRAMES, 2 * (26 + 128), 6 * 130 - 2)
    with Image.open(tmp_path / "classes.png") as picture:
        stills = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    assert stills.shape == (3, 2 * (26 + 128), 8 * 128)
    for row, strongest in enumerate((2, 0)):
        for half in stills[:, row * 154 + 26 : row * 154 + 154].chunk(2, dim=2):
            assert half.mean(dim=(1, 2)).argmax() == strongest


def test_the_showcase_of_shapes_is_not_measured_this_way(monkeypatch):
    pipeline = VideoPipeline.from_pretrained("showcase")
    assert quality.shape_options(pipeline)["max_shapes"] == 1
    pipeline.about["data"]["init_args"]["max_shapes"] = 2
    assert quality.shape_options(pipeline) is None
