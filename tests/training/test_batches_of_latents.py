import pytest
import torch

from pvdm_lightning.random import make_generator
from pvdm_lightning.training.batches import choose_pairs
from pvdm_lightning.training.step_draws import StepDraws
from small_latents import batches_in_pixels_and_latents, latent_diffusion


@pytest.fixture
def module():
    return latent_diffusion()


@pytest.fixture
def batches(module):
    return batches_in_pixels_and_latents(module)


def test_targets_and_conditions(module, batches):
    both = set()
    for key in range(6):
        given, probabilities = {"previous": batches[0]["has_previous"]}, {"previous": module.conditional_probability}
        draws = StepDraws.draw(make_generator(key), given, probabilities, 1000, (4, 20))
        from_pixels, from_latents = (choose_pairs(batch, draws, module.pipeline.to_latent) for batch in batches)
        pairs = [(from_pixels[0], from_latents[0]), (from_pixels[1].previous, from_latents[1].previous)]
        for one, other in pairs:
            assert one.dtype == other.dtype
            assert torch.allclose(one, other, atol=1e-5)
        both |= {bool(previous.any()) for previous in from_latents[1].previous}
    assert both == {True, False}


def test_what_the_host_reads_stays_on_the_host(module, batches):
    moved = module.transfer_batch_to_device(batches[0], torch.device("meta"), 0)
    assert {name: value.device.type for name, value in moved.items()} == {
        "clip": "meta",
        "previous": "meta",
        "has_previous": "cpu",
        "index": "cpu",
    }
