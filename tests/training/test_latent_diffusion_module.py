import pytest
import torch
from lightning import Trainer

from pvdm_lightning.diffusion.prediction_type import target
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling
from pvdm_lightning.random import make_generator
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


@pytest.fixture
def diffusion():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    return module


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


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "flow_prediction"])
def test_samples_follow_what_the_network_predicts(prediction_type, tmp_path):
    """A network that knows the latent of every video: samples are that latent, decoded; also from a checkpoint."""
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, prediction_type=prediction_type)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    z_0 = torch.rand(1, 4, module.denoiser.latent_shape.num_tokens, generator=make_generator(0)) - 0.5

    def knowing(z_t, t, condition=None):
        alpha_bar = module.schedule.alpha_bar[t][:, None, None]
        noise = (z_t - alpha_bar.sqrt() * z_0) / (1 - alpha_bar).sqrt()
        return target(module.schedule, z_0, noise, t, prediction_type)

    path = tmp_path / "last.ckpt"
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    for one in (module, LatentDiffusionModule.load_from_checkpoint(path, map_location="cpu")):
        one.ema.network.forward = knowing
        video = one.pipeline.generate([0, 1], Sampling(num_frames=4, num_inference_steps=5))
        expected = one.first_stage.decode(z_0)[0].int()
        assert (video.int() - expected).abs().max() <= 1


def test_training_draws_the_times_asked_for():
    def drawn(**options):
        unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
        module = LatentDiffusionModule(unet, **options)
        module.attach_first_stage(FrozenAutoencoder(autoencoder()))
        return module._draw({"has_previous": torch.zeros(2000, dtype=torch.bool), "index": torch.arange(2000)}, 0)

    uniform, middling = drawn(), drawn(timestep_sampling="logit_normal")
    assert torch.equal(uniform.noise, middling.noise)
    assert (middling.t[uniform.t.argsort()].diff() >= 0).all()
    assert middling.t.double().std() < 0.7 * uniform.t.double().std()


@pytest.mark.parametrize("name, first", [("prediction_type", "epsilon"), ("timestep_sampling", "uniform")])
def test_unknown_names_are_refused(name, first):
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    with pytest.raises(InvalidArgumentError, match=rf"LatentDiffusionModule.{name} cosine: .* Give {first} or "):
        LatentDiffusionModule(unet, **{name: "cosine"})


def test_a_checkpoint_that_learned_another_prediction_is_refused(diffusion):
    checkpoint = {"state_dict": diffusion.state_dict(), "hyper_parameters": {"prediction_type": "v_prediction"}}
    with pytest.raises(
        InvalidArgumentError,
        match=r"LatentDiffusionModule.prediction_type epsilon: .*, which is v_prediction. Give v_prediction, or start",
    ):
        diffusion.check_checkpoint(checkpoint, "last.ckpt")
    checkpoint["hyper_parameters"] = {}  # of before there was a choice
    diffusion.check_checkpoint(checkpoint, "last.ckpt")


def test_hyper_parameters_stay_those_of_the_constructor(diffusion):
    assert diffusion.denoiser.config["latent_shape"] == {"frames": 4, "height": 2, "width": 2}  # of the autoencoder
    assert diffusion.hparams["denoiser"]["init_args"]["latent_shape"] is None
