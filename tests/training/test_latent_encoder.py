import pytest
import torch

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import LatentDiffusionModule, LatentEncoder


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


def test_the_encoder_makes_both_orientations(batches):
    encoder = LatentEncoder(autoencoder())
    encoder.flips = True
    pixels, latents = batches
    numbers = {name: torch.arange(8) for name in ("label", "index", "start")}
    batch = {**pixels, **numbers, "split": "train", "shard": 0, "is_last": True, "failures": {}}
    rows = encoder.predict_step(batch, 0)
    assert rows["flipped"].tolist() == [False] * 8 + [True] * 8
    assert rows["index"].tolist() == [*range(8), *range(8)]
    assert torch.allclose(rows["clip"][:8], latents["clip"], atol=1e-5)
    assert torch.allclose(rows["clip"][8:], encoder.frozen.encode(pixels["clip"].flip(-1)), atol=1e-5)
    has = pixels["has_previous"]
    assert torch.allclose(rows["previous"][:7], latents["previous"][has], atol=1e-5)
    assert torch.allclose(rows["previous"][7:], encoder.frozen.encode(pixels["previous"][has].flip(-1)), atol=1e-5)
    assert not encoder.predict_step({**batch, "split": "val"}, 0)["flipped"].any()


def test_a_batch_of_which_nothing_could_be_read_has_no_rows():
    encoder = LatentEncoder(autoencoder())
    empty = encoder.predict_step({"split": "train", "shard": 0, "is_last": True, "failures": {}}, 0)
    assert {name: list(value.shape) for name, value in empty.items() if value.dim() > 1} == {
        "clip": [0, 4, 20],
        "previous": [0, 4, 20],
    }
