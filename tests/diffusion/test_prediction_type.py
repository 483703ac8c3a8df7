"""Networks that predict noise or velocity."""

import torch

from gaussian import SCHEDULE, gaussian_denoise
from pvdm_lightning.diffusion import to_epsilon_prediction
from pvdm_lightning.diffusion.samplers import DDIMSampler


def test_samples_of_a_network_that_predicts_velocity_are_those_of_its_noise():
    """v = (noise - sqrt(1 - abar_t) z_t) / sqrt(abar_t)."""

    def velocity(z_t, t):
        alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
        return (gaussian_denoise(z_t, t) - (1 - alpha_bar).sqrt() * z_t) / alpha_bar.sqrt()

    def draw(denoise):
        return DDIMSampler(SCHEDULE, 20, 1.0)(denoise, (2, 4, 6), generator=torch.Generator().manual_seed(0))

    assert torch.allclose(
        draw(to_epsilon_prediction(velocity, SCHEDULE, "v_prediction")), draw(gaussian_denoise), atol=1e-4
    )
    assert to_epsilon_prediction(velocity, SCHEDULE, "epsilon") is velocity
