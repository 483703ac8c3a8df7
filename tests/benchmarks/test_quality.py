"""The yardstick of `quality` sees what is in a clip, and orders clips by how spoiled they are."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.yardstick.clip import measure
from benchmarks.yardstick.controls import blurred, noise, shuffled
from benchmarks.yardstick.features import TransNetFeatures, distance
from benchmarks.yardstick.object import background, find, kind_of
from benchmarks.yardstick.summary import summarise
from pvdm_lightning.data.videos.synthetic import SHAPES, SyntheticVideos, shape_distance


def real(first, count=16):
    videos = SyntheticVideos(first, count, 16, seed=0, max_shapes=1, backgrounds="plain")
    return torch.stack([videos.read(index, range(16), (48, 48)) for index in range(count)])


@pytest.fixture(scope="module")
def rows():
    reference = [measure(clip, 8, 16) for clip in real(0)]
    other = real(1000)
    sets = {
        "real": other,
        "blurred": blurred(other),
        "shuffled": shuffled(other, 8),
        "noise": noise(other),
        "empty": other[:, :, :, :1, :1].expand_as(other),
        "stripes": (other.int() + 6 * (torch.arange(48) // 8 % 2)).clamp(0, 255).to(torch.uint8),
        "frozen": other[:, :, :1].expand_as(other),
    }
    return {name: summarise([measure(clip, 8, 16) for clip in clips], reference) for name, clips in sets.items()}


def test_real_clips_show_one_object_of_a_known_kind(rows):
    row = {name: value for name, (value, _, _) in rows["real"].items()}
    assert row["empty"] == 0 and row["one object"] >= 0.9 and row["recognised"] >= 0.85
    assert row["sharpness"] == pytest.approx(1, abs=0.1) and row["texture"] < 0.6 and abs(row["grid"]) < 0.1


def test_spoiled_clips_are_ordered(rows):
    def of(measure):
        return {name: row[measure][0] for name, row in rows.items()}

    sharp, recognised, texture = of("sharpness"), of("recognised"), of("texture")
    assert sharp["blurred"] < 0.7 * sharp["real"]
    assert recognised["real"] >= recognised["blurred"] > recognised["shuffled"] == recognised["noise"] == 0
    assert texture["real"] < texture["blurred"] < texture["shuffled"]
    assert of("empty")["empty"] == 1 and of("one object")["empty"] == 0
    assert of("grid")["stripes"] > 3 and of("texture")["stripes"] > 2 * texture["real"]
    assert of("factors")["frozen"] > 2 * of("factors")["real"]
    for row in rows.values():
        for value, low, high in row.values():
            assert math.isnan(value) or low - 1e-9 <= value <= high + 1e-9 or low <= high


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_shape_is_recognised_at_any_angle(kind, angle):
    y, x = np.mgrid[0:64, 0:64] / 64 - 0.5
    cos, sin = np.cos(angle), np.sin(angle)
    mask = shape_distance(kind, x * cos + y * sin, y * cos - x * sin, np.full((1, 1), 0.22)) < 0
    found = find(mask)
    assert found is not None and found.single and found.inside
    name, overlap = kind_of(found.mask)
    assert name == kind and overlap > 0.85


def test_two_objects_are_not_one():
    y, x = np.mgrid[0:48, 0:48]
    both = ((y - 12) ** 2 + (x - 12) ** 2 < 64) | ((y - 34) ** 2 + (x - 34) ** 2 < 64)
    found = find(both)
    assert found is not None and not found.single
    assert find(np.zeros((8, 8), bool)) is None


def test_the_background_is_what_lies_behind_the_object():
    y, x = np.mgrid[0:32, 0:32] / 32
    plane = np.stack([40 + 30 * y, 60 - 20 * x, 50 + 0 * y])[:, None].astype(np.float32)
    video = np.repeat(plane, 4, axis=1)
    video[:, :, 8:20, 10:22] = 220
    assert np.abs(background(video) - plane).max() < 1


def test_clip_borders_count_as_jumps():
    clip = real(0, 1)[0]
    steady, jumping = torch.cat([clip, clip.flip(1)], dim=1), torch.cat([clip, real(5, 1)[0]], dim=1)
    assert measure(steady, 8, 16).jump < 1 < 3 < measure(jumping, 8, 16).jump
    assert math.isnan(measure(clip, 8, 16).jump)


def test_the_pipeline_that_comes_with_the_package_draws_shapes():
    from pvdm_lightning import VideoPipeline

    pipeline = VideoPipeline.from_pretrained("showcase")
    videos = pipeline.sample(num_videos=8, num_inference_steps=20, sampler="dpm_solver", batch_size=8)
    measured = [measure(video, 8, 16) for video in videos]
    assert sum(clip.compact for clip in measured) >= 7 and sum(clip.recognised for clip in measured) >= 6
    assert np.mean([clip.texture for clip in measured]) < 3
    assert len({clip.kind for clip in measured}) > 1


def test_a_checkpoint_gets_its_table(bench, capsys, tmp_path):
    from pvdm_lightning import AutoencoderModule, VideoAutoencoder

    network = VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)
    module = AutoencoderModule(network)
    checkpoint = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.6.0",
        "global_step": 3,
        "data_config": {"class_path": "pvdm_lightning.Synthetic", "init_args": {"max_shapes": 1}},
    }
    torch.save(checkpoint, tmp_path / "last.ckpt")
    printed = bench("quality", tmp_path / "last.ckpt", "--num-videos", 6, "--out", tmp_path / "q.json")
    assert [line.split()[0] for line in printed.splitlines()[-2:]] == ["real", "reconstructions"]
    figures = json.loads((tmp_path / "q.json").read_text())
    assert figures["steps"] == 3 and set(figures["rows"]) == {"real", "reconstructions"}
    assert figures["rows"]["reconstructions"]["one object"][0] < 0.5
    del checkpoint["data_config"]
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(SystemExit):
        bench("quality", tmp_path / "last.ckpt")
    assert "was not trained on generated videos of one shape" in capsys.readouterr().err.splitlines()[-1]


def test_pictures_of_the_pipeline_that_comes_with_the_package(bench, tmp_path):
    bench("showcase", "showcase", "--out", tmp_path, "--num-inference-steps", 1, "--columns", 2, "--rows", 1)
    sizes = {}
    for name in ("comparison.png", "samples.webp", "long.webp"):
        with Image.open(tmp_path / name) as picture:
            sizes[name] = (*picture.size, getattr(picture, "n_frames", 1) > 1)
    # Frames that are equal to the one before are merged in a WebP.
    assert sizes == {
        "comparison.png": (1024, 384, False),
        "samples.webp": (258, 258, True),
        "long.webp": (258, 128, True),
    }


def test_the_distance_over_a_video_network_orders_clips_and_leaves_the_process_as_it_was():
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    network = TransNetFeatures()
    assert (torch.rand(1), np.random.rand()) == before and not torch.are_deterministic_algorithms_enabled()
    one, other = real(0), real(1000)
    features = network(one)
    assert features.shape == (16, 256) and torch.equal(features[:3], network(one[:3]))
    apart = [distance(features, network(clips)) for clips in (one, other, blurred(other), shuffled(other, 8))]
    assert apart[0] < 1e-6 and sorted(apart) == apart
