import pytest
import torch
from lightning import Trainer

from pvdm_lightning.models.condition import Condition
from pvdm_lightning.random import make_generator, sample_generators
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


def pairs_one_by_one(batch, to_latent, generators, probability):
    """The definition, without a buffer and with sizes that depend on what is drawn: z_0, previous, t, noise."""
    clip, has_previous = batch["clip"], batch["has_previous"]
    conditional = (torch.stack([torch.rand((), generator=g) for g in generators]) < probability) & has_previous
    swap = (torch.stack([torch.rand((), generator=g) for g in generators]) < 0.5) & has_previous & ~conditional
    z_0 = to_latent(torch.where(swap.view(-1, *[1] * (clip.dim() - 1)), batch["previous"], clip))
    previous = torch.zeros_like(z_0)
    if conditional.any():
        previous[conditional] = to_latent(batch["previous"][conditional])
    t = torch.cat([torch.randint(1000, (1,), generator=g) for g in generators])
    return z_0, previous, t, torch.stack([torch.randn(z_0.shape[1:], generator=g) for g in generators])


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_steps_are_those_of_the_definition_to_the_bit(module, batches, probability):
    module.conditional_probability = probability
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    for batch in batches:
        for step in range(3):
            generators = sample_generators(step, 0, batch["index"])
            z_0, previous, t, noise = pairs_one_by_one(batch, module.pipeline.to_latent, generators, probability)
            draws = module._draw(batch, step)
            pair = choose_pairs(batch, draws, module.pipeline.to_latent)
            assert torch.equal(pair[0], z_0) and torch.equal(pair[1].previous, previous)
            assert torch.equal(draws.t, t) and torch.equal(draws.noise, noise)
            losses = [
                module._losses(module.ema.network, *given)
                for given in ((z_0, Condition(previous), t, noise), (*pair, draws.t, draws.noise))
            ]
            assert torch.equal(*losses)


def test_what_the_host_reads_stays_on_the_host(module, batches):
    moved = module.transfer_batch_to_device(batches[0], torch.device("meta"), 0)
    assert {name: value.device.type for name, value in moved.items()} == {
        "clip": "meta",
        "previous": "meta",
        "has_previous": "cpu",
        "index": "cpu",
    }
