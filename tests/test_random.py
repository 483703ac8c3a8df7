import torch

from pvdm_lightning.random import make_generator


def test_draws_differ_by_key_and_repeat():
    def draw(*key):
        return torch.randn(4, generator=make_generator(*key))

    assert torch.equal(draw(0, 1, 2), draw(0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 1)):
        assert not torch.equal(draw(0, 1, 2), draw(*other))
