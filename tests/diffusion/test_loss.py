"""The training objective."""

import pytest
import torch

from gaussian import MEAN, SCHEDULE, STD, gaussian_denoise
from pvdm_lightning.diffusion import denoising_loss, draw_conditional


def test_the_best_prediction_has_the_least_loss():
    generator = torch.Generator().manual_seed(0)
    z_0 = MEAN + STD * torch.randn(64, 4, 64, generator=generator)
    noise = torch.randn(z_0.shape, generator=generator)
    t = torch.randint(1000, (64,), generator=generator)
    best = denoising_loss(gaussian_denoise, SCHEDULE, z_0, t, noise).mean()
    for factor in (0.9, 1.1):
        worse = denoising_loss(lambda *a, f=factor: f * gaussian_denoise(*a), SCHEDULE, z_0, t, noise).mean()
        assert worse > best
    zero = denoising_loss(lambda z, t: torch.zeros_like(z), SCHEDULE, z_0, t, noise)
    assert torch.allclose(zero, noise.square().mean(dim=(1, 2)))


def test_an_error_of_the_velocity_weighs_more_as_noise_grows():
    """The same z_0 wrong by d: d^2 abar_t / (1 - abar_t) for noise, d^2 / (1 - abar_t) for velocity.

    For that of rectified flow, d^2 / s_t^2 at its own time.
    """
    z_0, noise, t = torch.zeros(2, 4, 6), torch.randn(2, 4, 6), torch.tensor([10, 900])
    alpha_bar = SCHEDULE.alpha_bar[t]

    def wrong(kind):
        def network(z_t, t):
            ratio = SCHEDULE.alpha_bar[t].sqrt() / (1 - SCHEDULE.alpha_bar[t]).sqrt()
            other = noise - ratio[:, None, None] * 0.1  # the noise if z_0 were 0.1
            return {
                "epsilon": other,
                "v_prediction": SCHEDULE.velocity(z_0 + 0.1, other, t),
                "flow_prediction": other - (z_0 + 0.1),
            }[kind]

        return denoising_loss(network, SCHEDULE, z_0, t, noise, kind)

    assert torch.allclose(wrong("epsilon"), 0.01 * alpha_bar / (1 - alpha_bar), rtol=1e-3)
    assert torch.allclose(wrong("v_prediction"), 0.01 / (1 - alpha_bar), rtol=1e-3)
    assert torch.allclose(wrong("flow_prediction"), 0.01 / SCHEDULE.flow_time()[t].square().float(), rtol=1e-3)


def test_conditional_share():
    has_previous = torch.arange(40_000) % 2 == 0
    drawn = draw_conditional(has_previous, 0.3, torch.Generator().manual_seed(0))
    assert not drawn[~has_previous].any()
    assert drawn[has_previous].float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert not draw_conditional(has_previous, 0.0).any()
    assert draw_conditional(has_previous, 1.0)[has_previous].all()
