import pytest
import torch

from pvdm_lightning.pipeline import FrozenAutoencoder
from small_latents import autoencoder, batches_in_pixels_and_latents, latent_diffusion


@pytest.fixture
def module():
    return latent_diffusion()


@pytest.fixture
def batches(module):
    return batches_in_pixels_and_latents(module)


def test_a_long_batch_is_encoded_in_parts(module, batches, monkeypatch):
    frozen, clip = module.first_stage, batches[0]["clip"]
    whole, sizes, encode = frozen.encode(clip), [], frozen.autoencoder.encode
    monkeypatch.setattr("pvdm_lightning.pipeline.first_stage.PATCHES_AT_ONCE", 3 * 16)  # a clip has 16
    monkeypatch.setattr(frozen.autoencoder, "encode", lambda some: sizes.append(len(some)) or encode(some))
    assert torch.allclose(frozen.encode(clip), whole, atol=1e-6)
    assert sizes == [3, 3, 2]


def test_the_fingerprint_is_that_of_what_the_autoencoder_computes():
    def fingerprint(network):
        return FrozenAutoencoder(network).fingerprint()

    own = fingerprint(autoencoder())
    assert own == fingerprint(autoencoder(gradient_checkpointing=True))
    assert own != fingerprint(autoencoder(seed=1))
    touched = autoencoder()
    with torch.no_grad():
        next(touched.decoder.parameters()).view(-1)[0] += 1e-3
    assert own != fingerprint(touched)
    # The same weights in another arrangement.
    assert fingerprint(autoencoder(heads=4, head_dim=8)) != own


def test_an_option_that_is_off_leaves_the_fingerprint_of_older_autoencoders():
    def fingerprint(network):
        return FrozenAutoencoder(network).fingerprint()

    older = autoencoder()
    del older.config["overlapping_output"]
    assert fingerprint(autoencoder()) == fingerprint(older) != fingerprint(autoencoder(overlapping_output=True))
