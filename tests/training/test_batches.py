import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.random import make_generator
from pvdm_lightning.training import LatentDiffusionModule
from pvdm_lightning.training.batches import choose_pairs
from pvdm_lightning.training.step_draws import StepDraws


def autoencoder():
    torch.manual_seed(0)
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


@pytest.fixture
def diffusion():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    return module


def batch(count=4, paired=True):
    generator = torch.Generator().manual_seed(1)

    def clips():
        return torch.randint(256, (count, 3, 4, 16, 16), generator=generator, dtype=torch.uint8)

    return {"clip": clips(), "previous": clips(), "has_previous": torch.full((count,), paired)}


def draw(module, batch):
    given, probabilities = {"previous": batch["has_previous"]}, {"previous": module.conditional_probability}
    draws = StepDraws.draw(make_generator(0), given, probabilities, 1000, (4, 20))
    return choose_pairs(batch, draws, module.pipeline.to_latent)


def test_conditions_are_the_latents_of_the_clips_before(diffusion):
    diffusion.conditional_probability = 1.0
    given = batch()
    z_0, condition = draw(diffusion, given)
    assert torch.allclose(z_0, diffusion.first_stage.encode(given["clip"]), atol=1e-6)
    assert torch.allclose(condition.previous, diffusion.first_stage.encode(given["previous"]), atol=1e-6)


def test_unconditional_targets_are_either_clip_of_a_pair(diffusion):
    diffusion.conditional_probability = 0.0
    given = batch(16)
    z_0, condition = draw(diffusion, given)
    assert not condition.previous.any()
    options = [diffusion.first_stage.encode(given[name]) for name in ("clip", "previous")]
    chosen = [[torch.allclose(z, option[i], atol=1e-5) for option in options] for i, z in enumerate(z_0)]
    assert all(any(row) for row in chosen)
    assert 0 < sum(row[1] for row in chosen) < 16


def test_without_a_clip_before_there_is_no_condition(diffusion):
    diffusion.conditional_probability = 1.0
    given = batch(paired=False)
    z_0, condition = draw(diffusion, given)
    assert not condition.previous.any()
    assert torch.allclose(z_0, diffusion.first_stage.encode(given["clip"]), atol=1e-6)


def test_parts_of_the_batch_are_kept_and_dropped_as_drawn(diffusion):
    given = batch() | {"context": torch.ones(4, 2, 3), "action": torch.ones(4, 4, 2)}
    names = ("previous", "context", "action")
    there = dict.fromkeys(names, given["has_previous"])
    draws = StepDraws.draw(make_generator(1), there, dict.fromkeys(names, 0.5), 1000, (4, 20))
    _, condition = choose_pairs(given, draws, diffusion.pipeline.to_latent, names)
    for name, part in (("context", condition.context), ("action", condition.extra["action"])):
        assert torch.equal(part, given[name] * draws.kept[name][:, None, None])
    assert draws.kept["context"].any() and not draws.kept["context"].all()
    with pytest.raises(InvalidArgumentError) as caught:
        choose_pairs(batch(), draws, diffusion.pipeline.to_latent, names)
    assert str(caught.value) == (
        "DataModule clip, previous, has_previous: gives no context, which the denoiser takes. Give it in each batch, "
        "[B ...]."
    )
