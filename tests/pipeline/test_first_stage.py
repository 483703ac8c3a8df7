import pytest
import torch

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
