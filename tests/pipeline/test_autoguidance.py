"""Autoguidance: the worse network fits the one that samples, wherever it comes from."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pvdm_lightning import InvalidArgumentError, NoiseSchedule, VideoPipeline
from pvdm_lightning.diffusion import Guidance
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.autoguidance import weights_sha256
from small_pipeline import build


def worse_one(**options):
    """The pipeline of an earlier checkpoint."""
    pipeline = build(**options)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        nn.init.normal_(pipeline.denoiser.head_conv.weight, std=0.1)
    return pipeline


@pytest.fixture
def pipeline():
    return build()


def test_the_first_clip_is_guided_too(pipeline, tmp_path):
    plain = pipeline.sample(2, 8)
    worse = worse_one()
    guided = pipeline.sample(2, 8, autoguidance=worse, autoguidance_scale=3.0)
    assert (plain[:, :, :4].int() - guided[:, :, :4].int()).abs().max() > 1
    # From a folder, by a denoiser, and by the network of the call before.
    worse.save_pretrained(tmp_path)
    for options in ({"autoguidance": tmp_path}, {"autoguidance": str(tmp_path)}, {"autoguidance": worse.denoiser}, {}):
        assert torch.equal(pipeline.sample(2, 8, autoguidance_scale=3.0, **options), guided)
    assert torch.equal(pipeline.sample(2, 8), plain)
    # As a default of the pipeline, which a call may leave out.
    pipeline.sampling = replace(pipeline.sampling, autoguidance_ckpt=str(tmp_path), autoguidance_scale=3.0)
    assert torch.equal(pipeline.sample(2, 8), guided)
    assert torch.equal(pipeline.sample(2, 8, autoguidance_scale=1.0), plain)
    # What is worse has no part in what is saved.
    pipeline.save_pretrained(tmp_path / "saved")
    assert torch.equal(VideoPipeline.from_pretrained(tmp_path / "saved").sample(2, 8), plain)


def test_a_network_guided_by_itself_is_not_guided(pipeline):
    videos = pipeline.sample(2, autoguidance=build(), autoguidance_scale=5.0)
    assert (videos.int() - pipeline.sample(2).int()).abs().max() <= 1  # up to rounding


def test_the_prediction_is_the_formula_for_each_prediction_type_and_condition():
    pipeline, worse = build(num_classes=3), worse_one()  # one of them takes no classes
    worse.prediction_type = "epsilon"
    pipeline.guide_by(worse)
    channels, tokens = pipeline.denoiser.latent_channels, pipeline.denoiser.latent_shape.num_tokens
    z, before = torch.randn(2, 2, channels, tokens)
    t = torch.tensor([3, 15])
    condition = Condition(before, label=torch.tensor([0, 2]))
    good, bad = pipeline.bind(condition)(z, t), worse.denoiser(z, t, Condition(before))
    guided = pipeline.bind(condition, Guidance(autoguidance_scale=2.5))(z, t)
    assert torch.allclose(guided, good + 1.5 * (good - bad), atol=1e-4)
    unlabelled = pipeline.bind(condition.without("label"))(z, t)
    both = pipeline.bind(condition, Guidance({"label": 3.0}, autoguidance_scale=2.5))(z, t)
    assert torch.allclose(both, guided + 2 * (good - unlabelled), atol=1e-4)


def test_weights_of_both_networks_are_cast_under_autocast(pipeline):
    pipeline.guide_by(worse_one())
    seen = []
    stem = pipeline.autoguidance.denoiser.stem
    forward = stem.forward
    stem.forward = lambda *args: seen.append(stem.weight.dtype) or forward(*args)
    options = {"autoguidance_scale": 2.0, "num_inference_steps": 2}
    with torch.autocast("cpu", torch.bfloat16):
        videos = pipeline.sample(**options)
    assert set(seen) == {torch.bfloat16} and stem.weight.dtype == torch.float32
    assert (videos.int() - pipeline.sample(**options).int()).float().abs().mean() < 3


def test_networks_of_another_data_type(pipeline):
    guided = pipeline.sample(2, autoguidance=worse_one(), autoguidance_scale=2.0)
    shorter = pipeline.sample(2, autoguidance=worse_one().to(torch.bfloat16), autoguidance_scale=2.0)
    assert (guided.int() - shorter.int()).float().abs().mean() < 3


def other_schedule(worse):
    worse.schedule = NoiseSchedule(20, beta_end=0.03, clip_range=3.0)


def other_times(worse):
    worse.schedule = NoiseSchedule(30, clip_range=3.0)


def other_std(worse):
    worse.normalization.std.mul_(1.5)


def other_mean(worse):
    worse.normalization.mean.add_(0.2)


def not_normalized(worse):
    worse.normalization = None


def other_autoencoder(worse):
    next(worse.first_stage.parameters()).add_(0.1)


def only_stage_one(worse):
    worse.denoiser = None


def other_channels(worse):
    worse.denoiser.latent_channels = 3


def other_planes(worse):
    worse.denoiser.latent_shape = replace(worse.denoiser.latent_shape, frames=8)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_schedule, "was trained with beta_end 0.03, not 0.0195"),
        (other_times, "was trained with num_train_timesteps 30, not 20"),
        (other_std, "was trained on latents of another normalization"),
        (other_mean, "was trained on latents of another normalization"),
        (not_normalized, "was trained on latents of another normalization"),
        (other_autoencoder, "was trained on latents of another autoencoder"),
        (only_stage_one, "has no denoiser, only stage one is trained"),
        (other_channels, "takes latents of 3 channels, not of 2"),
        (other_planes, "takes latents of TriplaneShape"),
    ],
)
def test_networks_that_do_not_fit(pipeline, change, problem):
    worse = worse_one()
    change(worse)
    with pytest.raises(InvalidArgumentError) as caught:
        pipeline.sample(autoguidance=worse, autoguidance_scale=2.0)
    assert str(caught.value).startswith(f"VideoPipeline.autoguidance VideoPipeline: {problem}")
    assert str(caught.value).endswith("Give an earlier checkpoint of the same run, or a smaller network trained as it.")
    assert pipeline.autoguidance is None


def test_classes_and_contexts_that_differ():
    pipeline = build(num_classes=2, class_names=["a", "b"], context_channels=4)
    for options, name in (
        ({"num_classes": 3}, "num_classes"),
        ({"num_classes": 2, "class_names": ["b", "a"]}, "class_names"),
        ({"context_channels": 8}, "context_channels"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"was trained with other {name}. Give an earlier checkpoint"):
            pipeline.guide_by(worse_one(**options))


def test_statistics_of_the_same_latents_may_differ_a_little(pipeline):
    worse = worse_one()
    worse.normalization.mean.add_(0.02)
    worse.normalization.std.mul_(1.05)
    pipeline.guide_by(worse)
    assert pipeline.autoguidance.denoiser is worse.denoiser


def test_what_is_missing_is_one_line(pipeline, tmp_path):
    for options, said in (
        (
            {"autoguidance_scale": 2.0},
            "Sampling.autoguidance_scale 2.0: there is no worse network to move away from. Give",
        ),
        (
            {"autoguidance": worse_one()},
            "Sampling.autoguidance_scale 1.0: leaves autoguidance without effect. Give another",
        ),
        (
            {"autoguidance": tmp_path / "none.ckpt", "autoguidance_scale": 2.0},
            f"Sampling.autoguidance_ckpt {tmp_path / 'none.ckpt'}: there is no such file or folder. Give",
        ),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            pipeline.sample(**options)
        assert str(caught.value).startswith(said)
    with pytest.raises(
        InvalidArgumentError, match=r"^Sampling\.autoguidance_ckpt x: has no effect at an autoguidance_sc"
    ):
        Sampling(autoguidance_ckpt="x")


def test_the_hash_of_the_worse_network_is_on_record(pipeline):
    sampling = Sampling(autoguidance_scale=2.0)
    assert pipeline.autoguidance_record(sampling) == {}
    pipeline.guide_by(worse_one())
    record = pipeline.autoguidance_record(sampling)
    assert record == {"autoguidance_sha256": weights_sha256(worse_one().denoiser)}
    assert record["autoguidance_sha256"] != weights_sha256(pipeline.denoiser)
    assert pipeline.autoguidance_record(Sampling()) == {}
