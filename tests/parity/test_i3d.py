import pytest
import torch

from pvdm_lightning.convert.i3d import load_i3d
from pvdm_lightning.metrics import FeatureStatistics, frechet_distance
from pvdm_lightning.metrics.i3d import preprocess, preprocess_stretched


@pytest.fixture(scope="module")
def i3d(case):
    return case("i3d")


@pytest.fixture(scope="module")
def videos(i3d, fill):
    description, _, _ = i3d
    channels_last = fill.tensor("video", tuple(description["video_shape"]), description["seed"]) * 60 + 128
    return channels_last.clamp(0, 255).to(torch.uint8).permute(0, 4, 1, 2, 3)


def test_preprocessing(i3d, videos):
    _, _, recorded = i3d
    prepared = preprocess(videos)
    assert prepared.shape == (2, 3, 16, 224, 224)
    assert (prepared[..., ::16, ::16] - recorded["prepared_every_16th_pixel"]).abs().max() <= 1e-5


def test_the_stretched_variant_is_the_same_for_square_videos_and_sees_the_borders_of_others(videos):
    square = videos[..., :40, :40]
    assert (preprocess_stretched(square) - preprocess(square)).abs().max() < 1e-5
    wide = torch.zeros(1, 3, 9, 20, 60, dtype=torch.uint8)
    wide[..., :4] = 255
    wide[..., -4:] = 255
    assert preprocess(wide).max() == -1  # cropped away
    stretched = preprocess_stretched(wide)
    assert stretched.shape == (1, 3, 9, 224, 224)
    assert (stretched[..., 0] > 0.9999).all() and (stretched[..., 112] == -1).all()
    by_hand = torch.nn.functional.interpolate(wide[0].transpose(0, 1).float(), (224, 224), mode="bilinear")
    assert (stretched[0] - (2 * by_hand.transpose(0, 1) / 255 - 1)).abs().max() < 1e-6


def test_logits_whatever_the_run_around_has_chosen(i3d, videos):
    _, checkpoint, recorded = i3d
    network = load_i3d({f"module.{key}": value for key, value in checkpoint.items()})
    network.train()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(videos)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
    assert (logits - recorded["logits"]).abs().max() <= 1e-4


def test_frechet_distance(i3d, fill):
    description, _, recorded = i3d
    real = FeatureStatistics.from_features(fill.tensor("real", (256, 24), description["seed"]))
    fake = FeatureStatistics.from_features(1.3 * fill.tensor("fake", (200, 24), description["seed"]) + 0.4)
    distance = frechet_distance(real.mean(), real.covariance(), fake.mean(), fake.covariance())
    assert distance.item() == pytest.approx(recorded["frechet_distance"].item(), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda sd: sd.pop("Mixed_3b.b1a.bn.bias"), "missing: Mixed_3b.b1a.bn.bias"),
        (lambda sd: sd.update({"Mixed_6a.b0.bn.bias": torch.zeros(1)}), "not known: Mixed_6a.b0.bn.bias"),
        (lambda sd: sd.update({"logits.conv3d.bias": torch.zeros(600)}), r"logits.conv3d.bias \[600\] instead of"),
    ],
)
def test_a_key_that_does_not_fit_is_named(i3d, change, named):
    checkpoint = dict(i3d[1])
    change(checkpoint)
    with pytest.raises(ValueError, match=named):
        load_i3d(checkpoint)


def test_too_few_frames_are_refused(i3d):
    _, checkpoint, _ = i3d
    with pytest.raises(ValueError, match="at least 9 frames, not 8"):
        load_i3d(checkpoint)(torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8))
