import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.training.latent_noise import LatentNoise


def latent():
    draws = torch.Generator().manual_seed(0)
    sizes = ((8, 8), (16, 8), (16, 8))
    stds = (0.1, 1.0, 3.0)
    return Triplane(*(std * torch.randn(512, 4, *size, generator=draws) for size, std in zip(sizes, stds)))


def test_noise_is_uniform_in_amount_and_follows_each_planes_std():
    clean = latent()
    noisy = LatentNoise(0.5)(clean, torch.Generator().manual_seed(1))
    for before, after in zip(clean, noisy):
        amount = (after - before).flatten(1).std(dim=1) / before.flatten(1).std(dim=1)
        assert amount.max() < 0.6 and amount.mean() == pytest.approx(0.25, abs=0.02)
        assert amount.std() == pytest.approx(0.5 / 12**0.5, abs=0.02)
        assert (after - before).mean().abs() < 0.01 * before.std()


def test_it_follows_the_generator_and_none_is_none():
    clean = latent()
    one, two = (LatentNoise(0.5)(clean, torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two))
    assert LatentNoise(0.0)(clean, torch.Generator()) is clean


def test_gradients_do_not_pass_through_the_std():
    planes = Triplane(*(torch.randn(2, 1, 3, 3, requires_grad=True) for _ in range(3)))
    sum(plane.sum() for plane in LatentNoise(1.0)(planes, torch.Generator().manual_seed(0))).backward()  # type: ignore
    for plane in planes:
        assert plane.grad is not None and torch.equal(plane.grad, torch.ones_like(plane))


def test_it_is_not_negative():
    with pytest.raises(InvalidArgumentError, match=r"AutoencoderModule.latent_noise -1: is negative"):
        LatentNoise(-1)
