import pickle

import pytest
import torch
from lightning import Trainer

from pvdm_lightning.diffusion import NoiseSchedule
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.losses.autoencoder_loss import pick_frame
from pvdm_lightning.metrics.reconstruction import mean_psnr
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling, sampling
from pvdm_lightning.pipeline.checkpoint import read_checkpoint
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.random import make_generator
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule
from pvdm_lightning.training.batches import draw_pairs
from pvdm_lightning.training.ema import EMA


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


@pytest.fixture
def diffusion():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    return module


def test_pixels_survive_the_way_in_and_out():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_signed_float(pixels)), pixels)
    assert to_signed_float(pixels).min() == -1
    assert to_signed_float(pixels).max() == 1
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_psnr_of_a_known_error():
    clip = torch.zeros(2, 3, 2, 4, 4)
    assert mean_psnr(clip + 0.2, clip).item() == pytest.approx(20)  # 0.1 in [0, 1]


def test_one_frame_of_each_clip():
    clip = torch.arange(2 * 3 * 4).view(2, 3, 4, 1, 1)
    assert pick_frame(clip, torch.tensor([3, 0]))[:, :, 0, 0].tolist() == [[3, 7, 11], [12, 16, 20]]


def test_draws_differ_by_key_and_repeat():
    def draw(*key):
        return torch.randn(4, generator=make_generator(*key))

    assert torch.equal(draw(0, 1, 2), draw(0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 1)):
        assert not torch.equal(draw(0, 1, 2), draw(*other))


def test_moving_average_against_the_formula():
    network = torch.nn.Linear(1, 1, bias=False)
    average, expected = EMA(network, 0.5), network.weight.item()
    for n, value in enumerate((3.0, -1.0, 7.0, 2.0), start=1):
        network.weight.data.fill_(value)
        average.update(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert not average.network.weight.requires_grad


def test_a_moving_average_that_is_loaded_goes_on_counting():
    network = torch.nn.Linear(1, 1)
    average, other = EMA(network), EMA(network)
    for _ in range(3):
        average.update(network)
    other.update(network)
    other.load_state_dict(average.state_dict())
    network.weight.data.fill_(5.0)
    for one in (average, other):
        one.update(network)
    assert other.num_updates == pickle.loads(pickle.dumps(other)).num_updates == 4
    assert torch.equal(other.network.weight, average.network.weight)


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_discriminators_are_clipped_by_what_their_gradients_are(scale):
    """In float16 the loss, and so each gradient, is scaled; the clipped gradient is the same but for that."""
    module = AutoencoderModule(autoencoder(), discriminator_clip=0.5)
    for parameter in module.loss.discriminators.parameters():
        parameter.grad = torch.full_like(parameter, scale)
    module.loss.clip_gradients(module.discriminator_clip * scale)
    for discriminator in module.loss.discriminators.values():
        norm = torch.stack([parameter.grad.square().sum() for parameter in discriminator.parameters()]).sum().sqrt()
        assert norm.item() == pytest.approx(0.5 * scale, rel=1e-3)


def batch(count=4, paired=True):
    generator = torch.Generator().manual_seed(1)

    def clips():
        return torch.randint(256, (count, 3, 4, 16, 16), generator=generator, dtype=torch.uint8)

    return {"clip": clips(), "previous": clips(), "has_previous": torch.full((count,), paired)}


def draw(module, batch):
    return draw_pairs(batch, module.conditional_probability, module.pipeline.to_latent, make_generator(0))


def test_conditions_are_the_latents_of_the_clips_before(diffusion):
    diffusion.conditional_probability = 1.0
    given = batch()
    z_0, condition = draw(diffusion, given)
    assert torch.allclose(z_0, diffusion.first_stage.encode(given["clip"]), atol=1e-6)
    assert torch.allclose(condition, diffusion.first_stage.encode(given["previous"]), atol=1e-6)


def test_unconditional_targets_are_either_clip_of_a_pair(diffusion):
    diffusion.conditional_probability = 0.0
    given = batch(16)
    z_0, condition = draw(diffusion, given)
    assert not condition.any()
    options = [diffusion.first_stage.encode(given[name]) for name in ("clip", "previous")]
    chosen = [[torch.allclose(z, option[i], atol=1e-5) for option in options] for i, z in enumerate(z_0)]
    assert all(any(row) for row in chosen)
    assert 0 < sum(row[1] for row in chosen) < 16


def test_without_a_clip_before_there_is_no_condition(diffusion):
    diffusion.conditional_probability = 1.0
    given = batch(paired=False)
    z_0, condition = draw(diffusion, given)
    assert not condition.any()
    assert torch.allclose(z_0, diffusion.first_stage.encode(given["clip"]), atol=1e-6)


def test_the_denoiser_takes_the_shape_of_its_autoencoder(diffusion):
    assert diffusion.denoiser.latent_shape == diffusion.ema.network.latent_shape == TriplaneShape(4, 2, 2)
    assert not any(p.requires_grad for p in diffusion.first_stage.parameters())
    diffusion.train()
    assert not diffusion.first_stage.training
    with pytest.raises(InvalidArgumentError, match="latent_channels 2: does not match the autoencoder's latents"):
        LatentDiffusionModule(TriplaneUNet(latent_channels=2, base_channels=32)).attach_first_stage(
            FrozenAutoencoder(autoencoder())
        )


def test_modules_built_in_python_are_read_back(tmp_path, diffusion):
    """As those built by the command line; without running code from the file."""
    for module in (AutoencoderModule(autoencoder(), learning_rate=3e-4), diffusion):
        path = tmp_path / f"{type(module).__name__}.ckpt"
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        trainer.strategy.connect(module)
        trainer.save_checkpoint(path)
        again = type(module).load_from_checkpoint(path, map_location="cpu")
        assert again.rate == module.rate
        for key, value in module.state_dict().items():
            assert torch.equal(value, again.state_dict()[key]), key
    frozen = FrozenAutoencoder.from_checkpoint(tmp_path / "AutoencoderModule.ckpt", "--flag")
    assert frozen.autoencoder.clip_shape == (4, 16, 16)
    with pytest.raises(InvalidArgumentError, match=r"--flag .*LatentDiffusionModule.ckpt: is a stage-two"):
        FrozenAutoencoder.from_checkpoint(tmp_path / "LatentDiffusionModule.ckpt", "--flag")


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_samples_follow_what_the_network_predicts(prediction_type, tmp_path):
    """A network that knows the latent of every video: samples are that latent, decoded; also from a checkpoint."""
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, prediction_type=prediction_type)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    z_0 = torch.rand(1, 4, module.denoiser.latent_shape.num_tokens, generator=make_generator(0)) - 0.5

    def knowing(z_t, t, condition=None):
        alpha_bar = module.schedule.alpha_bar[t][:, None, None]
        noise = (z_t - alpha_bar.sqrt() * z_0) / (1 - alpha_bar).sqrt()
        return noise if prediction_type == "epsilon" else module.schedule.velocity(z_0, noise, t)

    path = tmp_path / "last.ckpt"
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    for one in (module, LatentDiffusionModule.load_from_checkpoint(path, map_location="cpu")):
        one.ema.network.forward = knowing
        video = one.pipeline.generate([0, 1], Sampling(num_frames=4, num_inference_steps=5))
        expected = one.first_stage.decode(z_0)[0].int()
        assert (video.int() - expected).abs().max() <= 1


def test_a_checkpoint_that_learned_another_prediction_is_refused(diffusion):
    checkpoint = {"state_dict": diffusion.state_dict(), "hyper_parameters": {"prediction_type": "v_prediction"}}
    with pytest.raises(
        InvalidArgumentError,
        match=r"LatentDiffusionModule.prediction_type epsilon: .*, which is v_prediction. Give v_prediction, or start",
    ):
        diffusion.check_checkpoint(checkpoint, "last.ckpt")
    checkpoint["hyper_parameters"] = {}  # of before there was a choice
    diffusion.check_checkpoint(checkpoint, "last.ckpt")


def test_sampling_counts():
    long = Sampling(num_frames=33, num_inference_steps=100, num_inference_steps_later=20)
    assert long.num_clips(16) == 3
    assert Sampling().num_clips(16) == 1
    module = LatentDiffusionModule(TriplaneUNet(base_channels=32, channel_multipliers=(1,), heads=2))
    assert long.steps(module.schedule) == (100, 20)
    assert Sampling(num_inference_steps=50).steps(module.schedule) == (50, 50)
    assert Sampling(sampler="ddpm").steps(module.schedule) == (1000, 1000)
    short = NoiseSchedule(50)
    assert Sampling(sampler="ddpm").samplers(short)  # its steps are the schedule's, whatever the number for others
    with pytest.raises(InvalidArgumentError, match="num_inference_steps 100: is more than the 50 steps"):
        Sampling().samplers(short)


def test_videos_that_memory_cannot_hold(monkeypatch):
    available = sampling.available_memory()
    assert available is None or 0 < available < 2**50
    monkeypatch.setattr(sampling, "available_memory", lambda: 2**30)
    Sampling(batch_size=100).check_memory((16, 256, 256))
    with pytest.raises(
        InvalidArgumentError, match=r"Sampling.num_frames 16: a batch of 400 such videos of 256 x 256 pixels"
    ):
        Sampling(num_videos=400, batch_size=400).check_memory((16, 256, 256))
    monkeypatch.setattr(sampling, "available_memory", lambda: None)
    Sampling(num_videos=400, batch_size=400).check_memory((16, 256, 256))


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("l2", 2)])
def test_the_pixel_loss_is_the_mean_distance(kind, power, monkeypatch):
    module = AutoencoderModule(autoencoder(), pixel_loss=kind, pixel_weight=3.0)
    for name in ("log", "log_dict"):
        monkeypatch.setattr(module, name, lambda *args, **kwargs: None)
    clip = torch.rand(1, 3, 4, 16, 16) * 2 - 1
    loss = module._autoencoder_loss(clip, torch.tensor([0]), adversarial=False, generator=torch.Generator())
    assert loss.item() == pytest.approx(3 * (module.autoencoder(clip) - clip).abs().pow(power).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    "names",
    [{"_class_path": "os.AutoencoderModule"}, {"autoencoder": {"class_path": "os.system", "init_args": {}}}],
)
def test_a_checkpoint_cannot_name_other_classes(tmp_path, names):
    module = AutoencoderModule(VideoAutoencoder(2, 16, dim=16, depth=1, heads=1, head_dim=8), perceptual_weight=0)
    checkpoint = {"state_dict": module.state_dict(), "hyper_parameters": {**module.hparams, **names}}
    torch.save(checkpoint, tmp_path / "stranger.ckpt")
    with pytest.raises(InvalidArgumentError, match=r"ckpt_path .*stranger\.ckpt: is not a checkpoint of this project"):
        read_checkpoint(tmp_path / "stranger.ckpt", "ckpt_path")


def test_hyper_parameters_stay_those_of_the_constructor(diffusion):
    assert diffusion.denoiser.config["latent_shape"] == {"frames": 4, "height": 2, "width": 2}  # of the autoencoder
    assert diffusion.hparams["denoiser"]["init_args"]["latent_shape"] is None
