"""Latents in place of pixels: the same targets, conditions and losses on the same draws."""

import pytest
import torch
from lightning import Trainer

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import LatentDiffusionModule


def autoencoder(seed=0, **how):
    torch.manual_seed(seed)
    sizes = {"dim": 32, "depth": 1, "heads": 2, "head_dim": 16, "projector_depth": 1, "projector_mlp_dim": 32}
    return VideoAutoencoder(4, 16, 8, **{**sizes, **how})


@pytest.fixture
def module():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, conditional_probability=0.5)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    for parameter in module.ema.network.parameters():  # the last layer starts at zero, and any input would do
        torch.nn.init.normal_(parameter, std=0.1)
    return module


@pytest.fixture
def batches(module):
    """The same eight samples in pixels, and as a cache gives them."""
    generator = torch.Generator().manual_seed(0)
    clip, previous = torch.randint(256, (2, 8, 3, 4, 16, 16), dtype=torch.uint8, generator=generator)
    has_previous = torch.tensor([True, False] + [True] * 6)
    previous[1] = 0
    about = {"has_previous": has_previous, "index": torch.arange(8)}
    pixels = {"clip": clip, "previous": previous, **about}
    encode = module.first_stage.encode
    latents = {"clip": encode(clip), "previous": encode(previous), **about}
    latents["previous"][1] = 0
    return pixels, latents


def test_losses_in_validation(module, batches, monkeypatch):
    """From pixels, from latents, and in any batches: the same."""
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    def losses(*parts):
        logged = {}
        monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
        module.on_validation_epoch_start()
        for part in parts:
            module.validation_step(part, 3)
        module.on_validation_epoch_end()
        return logged

    pixels, latents = batches
    whole = losses(pixels)
    assert whole.keys() == {"val/loss", "val/loss_next_clip"}
    assert losses(latents) == pytest.approx(whole, rel=1e-4)
    halves = [{name: value[part] for name, value in latents.items()} for part in (slice(5, 8), slice(0, 5))]
    assert losses(*halves) == pytest.approx(whole, rel=1e-4)
    assert module.num_evaluated == {"loss": 8, "loss_next_clip": 7}
    assert losses({name: value[1:2] for name, value in latents.items()}).keys() == {"val/loss"}


def test_what_is_called_real_is_real(module, batches):
    pixels, latents = (module.sample_for_logging(batch, 1) for batch in batches)
    assert set(pixels["clips"]) == {"held-out clip"}
    assert torch.equal(pixels["clips"]["held-out clip"], batches[0]["clip"][:1])
    assert set(latents["clips"]) == {"decoded latent of a held-out clip"}
    (decoded,) = latents["clips"].values()
    assert torch.equal(decoded, module.first_stage.decode(batches[1]["clip"][:1]))
    assert all(torch.equal(a, b) for a, b in zip(pixels["samples"].values(), latents["samples"].values()))
