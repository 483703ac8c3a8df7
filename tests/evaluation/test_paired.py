"""Paired metrics against plain numpy, convention by convention; and which videos make a pair."""

import json

import numpy as np
import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import PairedProtocol, measure_pairs
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.metrics import FrozenNetwork

SIZE = (20, 24)


def noisy(video, seed, strength):
    noise = np.random.default_rng(seed).normal(0, strength, video.shape)
    return (video + noise).round().clip(0, 255).astype(np.uint8)


def save(path, video):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, video)


@pytest.fixture
def sides(tmp_path):
    """Three real videos [T H W 3] and two trajectories of each, of unequal quality; 7 frames, the last 12."""
    rng = np.random.default_rng(0)
    real, generated = {}, {}
    for number, name in enumerate(("run/a", "run/b", "c")):
        video = rng.integers(0, 256, (12 if name == "c" else 7, *SIZE, 3), dtype=np.uint8)
        strengths = np.array([5, 30, 60, 15, 2, 25, 40, 4, 9, 12, 70, 3])[: len(video), None, None, None]
        real[name] = video
        generated[name] = [noisy(video, 10 * number + k, strengths * (1 + (k + number) % 2)) for k in range(2)]
        save(tmp_path / f"real/{name}.npy", video)
    return tmp_path, real, generated


class Brightness(torch.nn.Module):
    """In place of LPIPS: the mean difference in brightness."""

    def forward(self, first, second):
        return (first.float().mean(dim=(1, 2, 3, 4)) - second.float().mean(dim=(1, 2, 3, 4))).abs()


NETWORKS = FoundNetworks(lpips=FrozenNetwork(Brightness(), "by-hand-vgg", 1))


def measure(folder, networks=NETWORKS, **options):
    protocol = PairedProtocol(num_workers=0, **options)
    return measure_pairs(str(folder / "real"), str(folder / "generated"), protocol, networks, torch.device("cpu"))


def values(report):
    return {metric.key: metric.value for metric in report.metrics}


def mse(real, other):
    """Of each frame, in [0, 1]."""
    return np.square(real / 255.0 - other / 255.0).mean(axis=(1, 2, 3))


def db(error):
    return 100.0 if error < 1e-10 else -10 * np.log10(error)


def ssim_by_hand(x, y):
    """Of one channel of one frame in [0, 1], each position of the window by itself."""
    line = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (z[top : top + 11, left : left + 11] for z in (x, y))
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb, cov = ((window * p).sum() - q for p, q in ((a * a, ma**2), (b * b, mb**2), (a * b, ma * mb)))
            found.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return np.mean(found)


def ssim_frame(real, other):
    return np.mean([ssim_by_hand(real[..., c] / 255.0, other[..., c] / 255.0) for c in range(3)])


@pytest.mark.parametrize("context", [0, 3])
def test_each_convention_agrees_with_plain_numpy(sides, context):
    folder, real, generated = sides
    for name, trajectories in generated.items():
        save(folder / f"generated/{name}.npy", trajectories[0])
    report = measure(folder, context_frames=context)
    pairs = [(video[context:], generated[name][0][context:]) for name, video in real.items()]
    errors = [mse(*pair) for pair in pairs]
    found = values(report)
    assert found["psnr_frame"] == pytest.approx(np.mean([np.mean([db(e) for e in es]) for es in errors]), rel=1e-9)
    assert found["psnr_video"] == pytest.approx(np.mean([db(es.mean()) for es in errors]), rel=1e-9)
    assert found["psnr_pooled"] == pytest.approx(db(np.concatenate(errors).mean()), rel=1e-9)
    ssim = [np.mean([ssim_frame(x, y) for x, y in zip(*pair)]) for pair in pairs]
    assert found["ssim"] == pytest.approx(np.mean(ssim), rel=1e-9)
    grey = [np.abs(x.mean(axis=(1, 2, 3)) - y.mean(axis=(1, 2, 3))).mean() for x, y in pairs]
    assert found["lpips_vgg"] == pytest.approx(np.mean(grey), rel=1e-4)
    # The three conventions are three figures.
    assert len({round(found[key], 2) for key in ("psnr_frame", "psnr_video", "psnr_pooled")}) == 3
    curve = report.details["per_frame"]
    assert curve["first_frame"] == context and curve["videos"] == [3] * (7 - context) + [1] * 5
    assert curve["psnr_frame"][0] == pytest.approx(np.mean([db(es[0]) for es in errors]))
    assert curve["psnr_frame"][-1] == pytest.approx(db(errors[-1][-1]))
    assert {video["name"] for video in report.details["videos"]} == {"run/a", "run/b", "c"}
    json.dumps(report.content(), allow_nan=False)


@pytest.mark.parametrize("which", ["best", "mean", "last"])
@pytest.mark.parametrize("separator", ["_", "/"])
def test_trajectories(sides, which, separator):
    folder, real, generated = sides
    for name, trajectories in generated.items():
        for number, video in enumerate(trajectories):
            save(folder / f"generated/{name}{separator}{number}.npy", video)
    report = measure(folder, trajectories=which)
    errors = {name: [mse(video, other) for other in generated[name]] for name, video in real.items()}
    pick = {"best": max, "mean": np.mean, "last": lambda found: found[-1]}[which]
    of_frames = [pick([np.mean([db(e) for e in es]) for es in found]) for found in errors.values()]
    of_videos = [pick([db(es.mean()) for es in found]) for found in errors.values()]
    assert values(report)["psnr_frame"] == pytest.approx(np.mean(of_frames), rel=1e-9)
    if which != "mean":  # whose frames are averaged over trajectories before
        assert values(report)["psnr_video"] == pytest.approx(np.mean(of_videos), rel=1e-9)
    pooled = {
        "best": [min(found, key=np.mean) for found in errors.values()],
        "mean": [np.mean(found, axis=0) for found in errors.values()],
        "last": [found[-1] for found in errors.values()],
    }[which]
    assert values(report)["psnr_pooled"] == pytest.approx(db(np.concatenate(pooled).mean()), rel=1e-9)
    grey = {
        name: [np.abs(video.mean(axis=(1, 2, 3)) - other.mean(axis=(1, 2, 3))).mean() for other in generated[name]]
        for name, video in real.items()
    }
    least = {"best": min, "mean": np.mean, "last": lambda found: found[-1]}[which]
    assert values(report)["lpips_vgg"] == pytest.approx(np.mean([least(found) for found in grey.values()]), rel=1e-4)
    assert report.metrics[0].generated == 6 and f"{which} of 2" in report.metrics[0].meaning


def test_equal_frames_are_a_hundred_decibels_as_in_cmvq(sides):
    folder, real, _ = sides
    for name, video in real.items():
        other = video.copy()
        other[0] = 255 - other[0]
        save(folder / f"generated/{name}.npy", other)
    report = measure(folder)
    expected = np.mean([(db(mse(v, 255 - v)[0]) + 100 * (len(v) - 1)) / len(v) for v in real.values()])
    assert values(report)["psnr_frame"] == pytest.approx(expected)


def test_real_stride(sides):
    folder, real, _ = sides
    for name, video in real.items():
        save(folder / f"generated/{name}.npy", noisy(video[::3], 0, 20))
    report = measure(folder, real_stride=3)
    expected = [np.mean([db(e) for e in mse(v[::3], noisy(v[::3], 0, 20))]) for v in real.values()]
    assert values(report)["psnr_frame"] == pytest.approx(np.mean(expected), rel=1e-9)


def test_missing_partners_and_short_videos_are_said_and_counted(sides, caplog):
    folder, _, generated = sides
    caplog.set_level("INFO")
    save(folder / "generated/run/a.npy", generated["run/a"][0])
    save(folder / "generated/c.npy", generated["c"][0])
    save(folder / "generated/d_1.npy", generated["c"][0])
    report = measure(folder, frames=9)
    assert report.protocol["pairs"] == 1 and report.metrics[0].real == 1
    assert report.protocol["without_partner"] == {
        "real": {"count": 1, "examples": ["run/b"]},
        "generated": {"count": 1, "examples": ["d_1"]},
    }
    assert report.protocol["too_short"] == {"count": 1, "examples": ["run/a"]}
    said = [record.getMessage() for record in caplog.records]
    assert "real: 1 videos have no partner and do not count: b." in said and "1 pairs are compared" in said
    assert report.protocol["inputs"]["generated"]["videos"] == 3


def problem_of(folder, **options):
    with pytest.raises(InvalidArgumentError) as error:
        measure(folder, **options)
    return f"{error.value.argument}: {error.value.problem}. {error.value.remedy}"


def test_what_cannot_be_compared_is_refused_before(sides):
    folder, real, generated = sides
    save(folder / "generated/x.npy", generated["c"][0])
    assert "no video of it has the name of one of measure_pairs.real" in problem_of(folder)
    (folder / "generated/x.npy").unlink()
    save(folder / "generated/c_0.npy", generated["c"][0])
    save(folder / "generated/c_1.npy", generated["c"][1])
    assert "has 2 videos for each real one, such as c_0, c_1 for c. Say what counts: best," in problem_of(folder)
    save(folder / "generated/run/a_0.npy", generated["run/a"][0])
    assert "has 1 videos for run/a and 2 for c" in problem_of(folder, trajectories="best")
    (folder / "generated/c_1.npy").unlink()
    save(folder / "generated/c_0.npy", generated["c"][0][:8])
    assert (
        "differ in length, such as c: the real one has 12 frames, the generated one 8. Give how many to compare "
        in (problem_of(folder))
    )
    assert "measure_pairs.context_frames: leaves no frame of" in problem_of(folder, frames=7, context_frames=7)
    assert "Evaluation.frames: all pairs have fewer" in problem_of(folder, frames=20)
    save(folder / "generated/c_0.npy", generated["c"][0][:, :16])
    assert "such as c: 20 x 24 and 16 x 24. Give the height and width to compare at" in problem_of(folder)
    save(folder / "generated/c_0.npy", real["c"])
    assert "1 of its videos are among the real ones" in problem_of(folder)


def test_frames_smaller_than_the_window_have_no_ssim(tmp_path):
    video = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    save(tmp_path / "real/a.npy", video)
    save(tmp_path / "generated/a.npy", noisy(video, 0, 9))
    report = measure(tmp_path, networks=FoundNetworks())
    assert "ssim" not in values(report) and "psnr_video" in values(report)
    assert [name for name, _ in report.skipped] == ["SSIM"]
