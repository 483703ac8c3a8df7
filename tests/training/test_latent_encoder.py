import pytest
import torch

from pvdm_lightning.training import LatentEncoder
from small_latents import autoencoder, batches_in_pixels_and_latents, latent_diffusion


@pytest.fixture
def module():
    return latent_diffusion()


@pytest.fixture
def batches(module):
    return batches_in_pixels_and_latents(module)


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
