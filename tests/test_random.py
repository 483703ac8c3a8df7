import torch

from pvdm_lightning.random import make_generator
from pvdm_lightning.training.batches import draw_pairs


def test_draws_differ_by_key_and_repeat():
    def draw(*key):
        return torch.randn(4, generator=make_generator(*key))

    assert torch.equal(draw(0, 1, 2), draw(0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 1)):
        assert not torch.equal(draw(0, 1, 2), draw(*other))


def batch(count=4, paired=True):
    generator = torch.Generator().manual_seed(1)

    def clips():
        return torch.randint(256, (count, 3, 4, 16, 16), generator=generator, dtype=torch.uint8)

    return {"clip": clips(), "previous": clips(), "has_previous": torch.full((count,), paired)}


def draw(module, batch):
    return draw_pairs(batch, module.conditional_probability, module.pipeline.to_latent, make_generator(0))
