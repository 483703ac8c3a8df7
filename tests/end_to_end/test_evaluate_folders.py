"""`pvdm evaluate`: folders of videos, as any model leaves them."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import warm
from pvdm_lightning import cli
from pvdm_lightning.convert.i3d import _original_name
from pvdm_lightning.data.output.writing import WRITERS, write_video
from pvdm_lightning.metrics import I3D

pytestmark = pytest.mark.usefixtures("cache")


def videos(count, frames=9, seed=0, size=(16, 24)):
    """uint8 [count 3 frames H W]: noise around a colour of each video."""
    g = torch.Generator().manual_seed(seed)
    colour = torch.randint(40, 216, (count, 3, 1, 1, 1), generator=g)
    return (colour + torch.randint(-40, 40, (count, 3, frames, *size), generator=g)).to(torch.uint8)


def write(folder, these, *formats):
    folder.mkdir(parents=True, exist_ok=True)
    for number, video in enumerate(these):
        for file_format in formats:
            write_video(video, folder / f"video_{number:05d}{WRITERS[file_format][0]}", fps=8)


@pytest.fixture
def evaluate(pvdm, workdir, networks, report_in):
    """`evaluate(*options)`: the report on the folders real/ and generated/ (or another one)."""

    def call(*more, generated="generated", networks=networks, out=None):
        folders = ["--real", "real", "--generated", generated, "--device", "cpu", "--num_workers", 0]
        out = out or f"{generated}_out"
        pvdm.run("evaluate", *folders, *networks, "--evaluation.frames", "[9]", "--evaluation.dir", out, *more)
        return report_in(workdir / out)

    return call


def value(report, name="FVD 9"):
    (metric,) = (metric for metric in report["metrics"] if metric["name"] == name)
    return metric["value"]


def test_any_format(workdir, evaluate, capsys):
    write(workdir / "real", videos(5, seed=1), "npy")
    for file_format in ("npy", "png", "gif", "mp4"):
        write(workdir / file_format, videos(6), file_format)
    lossless = value(evaluate(generated="npy"))
    assert lossless > 0
    assert value(evaluate(generated="png")) == pytest.approx(lossless, rel=1e-6)
    for lossy in ("gif", "mp4"):
        assert value(evaluate(generated=lossy)) == pytest.approx(lossless, rel=0.5)
    assert "FVD of 5 videos: not comparable with FVD of 2,048." in capsys.readouterr().out


def test_a_video_in_several_formats_counts_once(workdir, evaluate):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "generated", videos(4), "npy", "mp4", "png")
    report = evaluate()
    assert report["metrics"][0]["generated_videos"] == 4
    assert "generated: 8 copies of videos in other formats are not counted again." in report["notes"]
    write(workdir / "single", videos(4), "npy")
    assert value(report) == pytest.approx(value(evaluate(generated="single")))


def test_pictures_beside_videos_count_for_nothing(workdir, evaluate):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "generated", videos(4), "npy")
    before = evaluate()
    for number in range(20):
        Image.new("RGB", (24, 16), (255, 0, 0)).save(workdir / f"generated/thumbnail{number}.png")
    report = evaluate(out="again")
    assert value(report) == value(before) and report["metrics"][0]["generated_videos"] == 4
    assert "generated: pictures beside videos, such as thumbnails, are no videos." in report["notes"]


@pytest.mark.parametrize(
    "array", [np.zeros((9, 512), np.float32), np.zeros((9, 17, 2)), np.zeros((9, 16, 24), np.uint8)]
)
def test_arrays_that_are_no_videos_hide_none(workdir, evaluate, array):
    write(workdir / "real", videos(4, seed=1), "gif")
    write(workdir / "generated", videos(4), "png")
    before = evaluate()
    for number in range(4):
        np.save(workdir / f"real/video_{number:05d}.npy", array)
        np.save(workdir / f"generated/video_{number:05d}/features.npy", array)
    np.save(workdir / "real/labels.npy", array)
    report = evaluate(out="again")
    assert value(report) == value(before) and report["metrics"][0]["real_videos"] == 4
    assert f"such as labels.npy, which is {array.dtype} {[*array.shape]}." in report["notes"][0]


def test_of_several_formats_the_one_that_can_be_read_counts(workdir, evaluate):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "generated", videos(4), "npy", "gif")
    for number in range(4):
        (workdir / f"generated/video_{number:05d}.npy").write_bytes(b"cut off")
    assert evaluate()["metrics"][0]["generated_videos"] == 4


@pytest.mark.parametrize("link", [False, True])
def test_videos_of_the_other_side_are_not_counted_twice(workdir, evaluate, link):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "apart", videos(4), "npy")
    alone = evaluate(generated="apart")
    if link:
        (workdir / "real/samples").symlink_to(workdir / "apart")
    else:
        (workdir / "apart").rename(workdir / "real/samples")
    report = evaluate(generated="real/samples", out="out")
    assert value(report) == value(alone) and report["metrics"][0]["real_videos"] == 4
    assert "real: the other folder, real/samples, lies inside of it; its 4 videos are left out." in report["notes"]


def test_videos_on_both_sides_are_refused_unless_allowed(workdir, evaluate, error_of):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "generated", videos(4), "npy")
    (workdir / "generated/a.npy").symlink_to(workdir / "real/video_00000.npy")
    (workdir / "generated/b.npy").hardlink_to(workdir / "real/video_00001.npy")
    (workdir / "generated/c.npy").write_bytes((workdir / "real/video_00002.npy").read_bytes())
    problem = "3 of its videos are among the real ones, too, such as video_00000.npy"
    line = error_of("evaluate", "--real", "real", "--generated", "generated", "--device", "cpu")
    assert f"--generated generated: {problem}. Remove them, or give --allow_shared true if" in line
    report = evaluate("--allow_shared", "true")
    assert f"generated: {problem}, which makes the distance smaller." in report["notes"]


def test_a_folder_against_itself(workdir, evaluate, error_of):
    write(workdir / "real", videos(4), "npy")
    line = error_of("evaluate", "--real", "real", "--generated", "real", "--device", "cpu")
    assert "--generated real: 4 of its videos are among the real ones, too" in line
    assert value(evaluate("--allow_shared", "true", generated="real")) == pytest.approx(0, abs=1e-6)


def test_lists_and_what_is_said_of_them(workdir, evaluate, caplog):
    write(workdir / "real", videos(6, seed=1), "npy")
    write(workdir / "generated", videos(4), "png")
    (workdir / "real.txt").write_text("".join(f"real/video_0000{number}.npy\n" for number in (3, 1, 0, 4, 3)))
    report = evaluate("--real", "real.txt")
    assert report["metrics"][0]["real_videos"] == 4
    real, generated = report["protocol"]["inputs"]["real"], report["protocol"]["inputs"]["generated"]
    assert real["left_out"] == [{"reason": "listed again", "count": 1, "examples": ["real/video_00003.npy"]}]
    assert real["videos"] == 4 and real["kinds"] == {"arrays": 4} and real["frames"] == [9, 9]
    assert len(real["list_sha256"]) == 64 and real["list_sha256"] != generated["list_sha256"]
    messages = [record.getMessage() for record in caplog.records]
    assert "real: 4 videos of real.txt count (4 arrays): 9 frames, 16 x 24" in messages
    assert "generated: 4 videos of generated count (4 folders of frames): 9 frames, 16 x 24" in messages
    assert "real: 1 videos are listed more than once, such as real/video_00003.npy, and count once." in messages


def test_the_original_i3d_by_path(workdir, evaluate):
    """Random weights in the original's layout; the name says that the file is not a known one."""
    write(workdir / "real", videos(2, seed=1), "npy")
    write(workdir / "generated", videos(2), "npy")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = {_original_name(key): tensor for key, tensor in I3D().state_dict().items()}
    torch.save(weights, workdir / "random_i3d.pt")
    report = evaluate(networks=["--metrics.i3d", "random_i3d.pt", "--metrics.transnet", "none"])
    assert value(report) >= 0
    assert report["metrics"][0]["network"]["name"].startswith("i3d-original (unrecognised file ")
    assert report["metrics"][0]["network"]["file"] == "random_i3d.pt"
    assert "FVD (i3d-stylegan-v)" in {entry["name"] for entry in report["skipped"]}


def test_broken_and_short_videos_are_named_and_counted(workdir, evaluate, caplog):
    write(workdir / "real", videos(4, seed=1), "npy")
    write(workdir / "generated", videos(3), "npy")
    (workdir / "generated/broken.mp4").write_bytes(b"not a video")
    (workdir / "generated/broken.npy").write_bytes(b"not an array")
    np.save(workdir / "generated/floats.npy", np.zeros((9, 16, 24, 3)))
    write_video(videos(1, frames=5)[0], workdir / "generated" / "short.npy", 8)
    report = evaluate()
    assert report["metrics"][0]["generated_videos"] == 3
    assert "generated: 2 broken videos are skipped: broken.npy, floats.npy." in report["notes"]
    assert "generated: 1 videos have fewer than 9 frames, such as short.npy." in report["notes"]
    assert "floats.npy cannot be read and is skipped: is float64 [9, 16, 24, 3], not uint8 [T H W 3]" in caplog.text


def test_real_clips_start_anywhere_generated_ones_at_the_first_frame(workdir, evaluate):
    longer = videos(4, frames=14)
    write(workdir / "real", longer, "npy")
    write(workdir / "generated", longer, "npy")
    shared = ["--allow_shared", "true"]
    assert value(evaluate("--evaluation.real.choice", "first", *shared)) == pytest.approx(0, abs=1e-6)
    anywhere = evaluate(*shared, out="random_out")
    assert value(anywhere) > 1e-3
    clips = anywhere["protocol"]["clips"]
    assert (clips["real_9"]["choice"], clips["real_9"]["seed"]) == ("random", 0)
    assert clips["generated_9"]["choice"] == "first"
    seeds = ["--evaluation.generated.seed", 3, "--evaluation.real.seed", 3]
    both = [*shared, "--evaluation.generated.choice", "random", *seeds]
    assert value(evaluate(*both, out="both_out")) == pytest.approx(0, abs=1e-6)


def test_counts_of_both_sides_are_apart_and_none_is_used_twice(workdir, evaluate):
    write(workdir / "real", videos(5, frames=14, seed=1), "npy")
    write(workdir / "generated", videos(4), "npy")
    report = evaluate()
    assert "real clips of 9 frames: 2,048 are usual, 5 are measured: there are no more." in report["notes"]
    assert (report["metrics"][0]["real_videos"], report["metrics"][0]["generated_videos"]) == (5, 4)
    options = ["--evaluation.real.num", 12, "--evaluation.generated.num", 3]
    report = evaluate(*options, out="fewer")
    assert "real clips of 9 frames: 12 were asked for, 5 are measured: there are no more." in report["notes"]
    real, generated = report["protocol"]["clips"]["real_9"], report["protocol"]["clips"]["generated_9"]
    assert (real["num"], real["count"], real["videos"], real["reuse"]) == (12, 5, 5, False)
    assert (generated["num"], generated["count"], generated["usable_videos"]) == (3, 3, 4)
    report = evaluate(*options, "--evaluation.real.reuse", "true", out="reused")
    assert report["metrics"][0]["real_videos"] == 12
    assert "real clips of 9 frames: they are of 5 videos." in report["notes"]
    again = evaluate("--evaluation.real.choice", "every_window", "--evaluation.real.num", "all", out="all")
    assert again["protocol"]["clips"]["real_9"]["count"] == 5 * 6


def test_a_configuration_file_and_its_hash_of_the_list(workdir, evaluate):
    write(workdir / "real", videos(5, frames=14, seed=1), "npy")
    write(workdir / "generated", videos(4, frames=17), "npy")
    config = "evaluation:\n  real: {choice: sorted_prefix, num: 4}\n  generated: {stride: 2}\n"
    (workdir / "protocol.yaml").write_text(config)
    lists = {}
    for name, more in (("a", []), ("b", []), ("c", ["--evaluation.real.seed", 1])):
        report = evaluate("--config", "protocol.yaml", *more, out=name)
        clips = report["protocol"]["clips"]
        assert (clips["real_9"]["choice"], clips["real_9"]["stride"], clips["generated_9"]["stride"]) == (
            *("sorted_prefix", 1),
            2,
        )
        lists[name] = clips["real_9"]["list"]
    (workdir / "real").rename(workdir / "elsewhere")
    report = evaluate("--config", "protocol.yaml", "--real", "elsewhere", out="d")
    assert lists["a"] == lists["b"] == report["protocol"]["clips"]["real_9"]["list"] != lists["c"]


@pytest.mark.parametrize(
    "preparation",
    [
        {"crop": "none"},
        {"antialias": "false", "rounding": "truncate"},
        {"filter": "lanczos", "codec": "jpeg75"},
        {"rounding": "none"},
        {"codec": "mp4"},
    ],
)
def test_frames_are_prepared_as_asked_on_both_sides(workdir, evaluate, preparation):
    same = videos(4, size=(32, 64))
    write(workdir / "real", same, "npy")
    write(workdir / "generated", same, "npy")
    options = [part for name, setting in preparation.items() for part in (f"--evaluation.preparation.{name}", setting)]
    report = evaluate("--resolution", 16, "--allow_shared", "true", *options)
    assert value(report) == pytest.approx(0, abs=1e-6)  # a side that was prepared otherwise would show
    recorded = report["protocol"]["clips"]["generated_9"]["preparation"]
    assert {name: str(recorded[name]).lower() for name in preparation} == preparation
    write(workdir / "small", [video[:, :, :16, :16] for video in videos(4, seed=2, size=(32, 64))], "npy")
    as_usual = evaluate("--resolution", 16, "--generated", "small", out="usual")
    assert value(evaluate("--resolution", 16, "--generated", "small", *options, out="other")) != value(as_usual)


def test_a_changed_real_video_is_measured_anew(workdir, evaluate):
    write(workdir / "real", videos(4, seed=1), "npy", "png")
    write(workdir / "generated", videos(4), "npy")
    for file in (workdir / "real").glob("*.npy"):
        file.unlink()
    before = value(evaluate())
    (picture,) = (workdir / "real").rglob("video_00003/*3.png")  # its folder's time stays as it was
    Image.new("RGB", Image.open(picture).size, "white").save(picture)
    assert abs(value(evaluate(out="again")) - before) > 1


def test_videos_that_break_while_they_are_read_are_named_and_not_kept(workdir, evaluate):
    write(workdir / "real", videos(4, seed=1), "png")
    write(workdir / "generated", videos(4), "png")
    (picture,) = (workdir / "real").rglob("video_00002/*5.png")
    whole = picture.read_bytes()
    picture.write_bytes(whole[:40])
    broken = evaluate()
    assert broken["metrics"][0]["real_videos"] == 3
    assert "real: 1 videos broke while they were read: video_00002." in broken["notes"]
    again = evaluate(out="again")  # nothing was kept under the name of four videos
    assert again["metrics"] == broken["metrics"] and again["notes"] == broken["notes"]
    picture.write_bytes(whole)
    assert evaluate(out="whole")["metrics"][0]["real_videos"] == 4


def test_several_processes_say_what_one_does(workdir, evaluate, monkeypatch):
    monkeypatch.setattr("pvdm_lightning.evaluation.processes.get_context", lambda _: warm.context())
    write(workdir / "real", videos(6, seed=1), "npy")
    write(workdir / "generated", videos(5), "png")
    (picture,) = (workdir / "generated").rglob("video_00001/*5.png")  # of the second process
    picture.write_bytes(picture.read_bytes()[:40])
    one = evaluate(out="one")
    shutil.rmtree(workdir / "cache")
    two = evaluate("--processes", 2, out="two")
    assert two["metrics"] == one["metrics"] and two["notes"] == one["notes"]
    assert "generated: 1 videos broke while they were read: video_00001." in two["notes"]
    files = [sorted(path.name for path in (workdir / out / "features").iterdir()) for out in ("one", "two")]
    assert files[0] == files[1]


def test_kept_features_give_the_figures_without_the_videos(pvdm, workdir, evaluate, report_in):
    write(workdir / "real", videos(6, seed=1), "npy")
    write(workdir / "generated", videos(5), "npy")
    before = evaluate(out="out")
    for folder in ("real", "generated", "cache"):
        shutil.rmtree(workdir / folder)
    (metric,) = (one for one in before["metrics"] if one["name"] == "FVD 9")
    files = [workdir / "out" / metric["features"][side][0]["file"] for side in ("real", "generated")]
    pvdm.run("evaluate", "--features", *files, "--evaluation.dir", "later", "--evaluation.distances", "frechet,kvd")
    later = report_in(workdir / "later")
    assert {name: later["metrics"][0][name] for name in ("name", "value", "interval", "real_videos")} == {
        name: metric[name] for name in ("name", "value", "interval", "real_videos")
    }
    assert later["metrics"][1]["name"] == "KVD 9"
    pvdm.run("compare", next((workdir / "out").glob("*.json")), next((workdir / "later").glob("*.json")))


def test_a_few_of_the_videos_fill_every_split(workdir, evaluate):
    write(workdir / "real", videos(2, frames=16, seed=1), "npy")
    write(workdir / "generated", videos(12, frames=16), "npy")
    for seed in (0, 1):
        few = ["--evaluation.generated.num", 6, "--evaluation.generated.seed", seed, "--evaluation.frames", "[16]"]
        few += ["--evaluation.inception_splits", 6]
        with_real = ["--real", "generated", "--allow_shared", "true"]
        assert value(evaluate(*few, *with_real, out=f"{seed}"), "IS") >= 1


def test_a_lock_of_the_real_videos(workdir, evaluate, error_of, capsys):
    write(workdir / "real/a", videos(3, seed=1), "gif")
    write(workdir / "generated", videos(3), "npy")
    cli.main(["check-data", "--data", "VideoFolder", "--data.root", "real", "--lock", "real.lock"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("lock: "))
    report = evaluate("--real_lock", "real.lock")
    assert f"real: the videos are those of real.lock, list {line.rpartition(' ')[2]}." in report["notes"]
    (workdir / "real/a/video_00001.gif").unlink()
    line = "--real_lock real.lock: does not hold for real: 1 missing (a/video_00001.gif)."
    folders = ["--real", "real", "--generated", "generated", "--device", "cpu"]
    assert line in error_of("evaluate", *folders, "--real_lock", "real.lock")


def test_real_videos_at_another_rate(workdir, evaluate, error_of, pvdm, capsys):
    for number, video in enumerate(videos(3, frames=30, seed=1)):
        (workdir / "real").mkdir(exist_ok=True)
        write_video(video, workdir / f"real/{number}.mp4", fps=20)
    write(workdir / "generated", videos(3), "npy")
    report = evaluate("--real_fps", 10)
    assert report["protocol"]["real_fps"] == 10 and report["metrics"][0]["real_videos"] == 3
    assert "real: videos at 10 frames per second: 3 of 20." in report["notes"]
    assert report["protocol"]["clips"]["real_9"]["fps"] == 10
    evaluate("--real_fps", 20, out="at_20")
    with pytest.raises(SystemExit) as ended:
        pvdm.run("compare", *(next((workdir / out).glob("*.json")) for out in ("generated_out", "at_20")))
    assert ended.value.code == 3 and "not comparable: real.fps: 10.0 | 20.0" in capsys.readouterr().out
    folders = ["--real", "real", "--generated", "generated", "--device", "cpu", "--evaluation.frames", "[9]"]
    assert "has 0 videos of 9 frames" in error_of("evaluate", *folders, "--real_fps", 5)
    assert "--real_fps 0.0: is not positive" in error_of("evaluate", *folders, "--real_fps", 0)


def test_pairs_of_videos(workdir, pvdm, report_in, error_of, capsys):
    write(workdir / "real", videos(2, seed=1), "npy")
    write(workdir / "generated", videos(2), "png")
    folders = ["--real", "real", "--generated", "generated", "--device", "cpu", "--num_workers", 0]
    pvdm.run("evaluate", "--paired", *folders, "--context_frames", 2, "--evaluation.dir", "out")
    report = report_in(workdir / "out")
    assert [metric["name"] for metric in report["metrics"]] == [
        "PSNR (frames)",
        "PSNR (videos)",
        "PSNR (pooled)",
        "SSIM",
    ]
    assert {skipped["name"] for skipped in report["skipped"]} == {"LPIPS (lpips-vgg16)", "LPIPS (lpips-alexnet)"}
    assert "--metrics.lpips_alex" in capsys.readouterr().out
    assert len(report["details"]["per_frame"]["psnr_frame"]) == 7
    frames = "--evaluation.frames"
    for options, line in (
        (["--context_frames", 9, "--paired"], "--context_frames 9: leaves no frame of video_00000, of which 9"),
        (["--context_frames", 2], "--context_frames 2: is for pairs of videos alone. Give --paired, too."),
        (["--paired", frames, "[5,9]"], f"{frames} [5, 9]: is not one length."),
        (["--paired", "--evaluation.real.num", 2], "--evaluation.real.num 2: is no option of --paired"),
        (["--paired", "--evaluation.real.stride", 2], f"{frames} None: is not given, and the videos of 2 pairs differ"),
    ):
        assert line in error_of("evaluate", *folders, *options)


def test_without_a_network_no_video_is_read(workdir, evaluate, monkeypatch, capsys, report_in):
    write(workdir / "real", videos(2, seed=1), "npy")
    write(workdir / "generated", videos(2), "npy")
    monkeypatch.setattr("pvdm_lightning.evaluation.folders._batches", None)
    with pytest.raises(SystemExit) as ended:
        evaluate(networks=["--metrics.transnet", "none"], out="out")
    said = capsys.readouterr()
    assert ended.value.code == 2 and "skipped: FVD (i3d-original): " in said.out
    expected = (
        "--generated generated: nothing was measured, for the reasons above. Distances need a network: `pip install"
    )
    assert expected in said.err
    report = report_in(workdir / "out")
    assert report["metrics"] == []
    assert "no video was read, as nothing could measure it." in report["notes"]


def test_a_distance_needs_no_download(workdir, evaluate):
    write(workdir / "real", videos(3, seed=1), "npy")
    write(workdir / "generated", videos(2), "npy")
    report = evaluate(networks=[])
    metric, motion = report["metrics"]
    assert (metric["name"], metric["key"], metric["network"]["name"]) == ("Frechet 9", "frechet_9", "transnetv2")
    assert metric["value"] > 0 and (metric["real_videos"], metric["generated_videos"]) == (3, 2)
    assert (motion["name"], motion["network"]) == ("motion 9", None)


def test_motion_needs_no_network_and_is_computed_again_without_the_videos(pvdm, workdir, evaluate, report_in):
    sides = {"real": videos(6, seed=1), "generated": videos(5)}
    for side, those in sides.items():
        write(workdir / side, those, "npy")
    only = ["--evaluation.distances", "motion", "--evaluation.real.choice", "first"]
    before = evaluate(*only, networks=["--metrics.transnet", "none"], out="out")
    (motion,) = before["metrics"]
    change = {side: [video.float().diff(dim=1).abs().mean().item() for video in sides[side]] for side in sides}
    means = {side: sum(those) / len(those) for side, those in change.items()}
    assert motion["sides"] == pytest.approx(means, rel=1e-5)
    assert motion["value"] == pytest.approx(means["generated"] / means["real"], rel=1e-5)
    assert motion["interval"][0] < motion["value"] < motion["interval"][1]
    for folder in ("real", "generated", "cache"):
        shutil.rmtree(workdir / folder)
    files = [workdir / "out" / motion["features"][side][0]["file"] for side in ("real", "generated")]
    pvdm.run("evaluate", "--features", *files, "--evaluation.dir", "later")
    (later,) = report_in(workdir / "later")["metrics"]
    compared = ("name", "value", "interval", "sides", "meaning", "network")
    assert [later[name] for name in compared] == [motion[name] for name in compared]
    pvdm.run("compare", next((workdir / "out").glob("*.json")), next((workdir / "later").glob("*.json")))
    with pytest.raises(SystemExit) as ended:
        pvdm.run("evaluate", "--features", *files, "--evaluation.dir", "none", "--evaluation.distances", "frechet")
    assert ended.value.code == 2
    (skipped,) = report_in(workdir / "none")["skipped"]
    assert skipped["reason"] == "features of frame-differences do not give frechet."


@pytest.fixture
def folders(workdir):
    write(workdir / "real", videos(4, frames=12, seed=1), "npy")
    write(workdir / "generated", videos(3, frames=9), "npy")
    write(workdir / "single", videos(1), "npy")
    write(workdir / "mixed", videos(1), "npy")
    write_video(videos(1, size=(24, 24))[0], workdir / "mixed" / "other.npy", 8)
    (workdir / "empty").mkdir()
    (workdir / "broken").mkdir()
    (workdir / "broken/a.mp4").write_bytes(b"not a video")
    Image.new("RGB", (4, 4)).save(workdir / "picture.png")
    torch.save({"a": torch.zeros(1)}, workdir / "other.pt")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--features", "a"], "--features a: is given beside videos. Give --features, or --real and --generated."),
        (["--processes", 0], "--processes 0: is less than 1. Give 1 or more."),
        (
            ["--evaluation.repeats", 2, "--evaluation.repeat_over", "generation"],
            "--evaluation.repeats 2: draws the same",
        ),
        (["--real", "none"], "--real none: there is no such folder. Give a folder of videos, or"),
        (["--real", "picture.png"], "--real picture.png: is neither a folder nor a list of videos (.txt)."),
        (["--generated", "empty"], "--generated empty: there are no video files, folders of pictures or arrays of vid"),
        (["--generated", "broken"], "--generated broken: none of its 1 videos can be read ("),
        (["--evaluation.generated.num", 1], "--evaluation.generated.num 1: is too few: the covariance that distances"),
        (
            ["--generated", "single"],
            "--evaluation.frames [9]: --generated single has 1 videos of 9 frames, and a covariance",
        ),
        (
            ["--evaluation.frames", "[12]"],
            "--evaluation.frames [12]: --generated generated has 0 videos of 12 frames, and a covariance",
        ),
        (
            ["--generated", "mixed"],
            "--resolution None: is not given, and the videos of --generated mixed differ",
        ),
        (["--metrics.i3d", "other.pt"], "--metrics.i3d other.pt: cannot be read as i3d_pretrained_400.pt: "),
        (["--device", "abacus"], "--device abacus: cannot be used ("),
        (["--resolution", 0], "--resolution 0: is less than 1. Give 1 or more."),
        (
            ["--evaluation.real.choice", "class_balanced"],
            "--evaluation.real.choice class_balanced: needs the classes of",
        ),
        (["--evaluation.real.reuse", "true"], "--evaluation.real.reuse True: needs to know how many clips are wanted."),
        (["--evaluation.real.num", "some"], "--evaluation.real.num some: "),
        (["--evaluation.split", "test"], "--evaluation.split: "),
        (
            ["--evaluation.preparation.filter", "lanczos", "--evaluation.preparation.antialias", "false"],
            "--evaluation.preparation.antialias False: is not possible with --evaluation.preparation.filter lanczos,",
        ),
        (
            ["--evaluation.preparation.rounding", "none", "--evaluation.preparation.codec", "mp4"],
            "--evaluation.preparation.rounding none: leaves floats, and --evaluation.preparation.codec mp4 takes",
        ),
        (
            ["--evaluation.preparation.codec", "mp4", "--resolution", 17],
            "--evaluation.preparation.codec mp4: holds no pictures of 17 x 17, as 4:2:0 needs even sides.",
        ),
        (["--evaluation.dir", "picture.png/a"], "picture.png is not a writable folder. Name another."),
        (["--evaluation.real.stride", 0], "--evaluation.real.stride 0: is less than 1. Give 1 or more."),
    ],
)
def test_bad_input(workdir, folders, error_of, args, line):
    options = {"--real": "real", "--generated": "generated", "--evaluation.frames": "[9]", "--device": "cpu"}
    options.update(zip(args[::2], args[1::2]))
    assert line in error_of("evaluate", *(part for option in options.items() for part in option))
    assert not (workdir / "evaluation").exists()
