"""Latents in place of pixels: the same targets, conditions and losses on the same draws."""

import pytest
import torch
from lightning import Trainer

from small_latents import batches_in_pixels_and_latents, latent_diffusion


@pytest.fixture
def module():
    return latent_diffusion()


@pytest.fixture
def batches(module):
    return batches_in_pixels_and_latents(module)


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
