"""Networks that predict noise or a velocity."""

import pytest
import torch

from gaussian import SCHEDULE, gaussian_denoise
from pvdm_lightning.diffusion import to_epsilon_prediction
from pvdm_lightning.diffusion.samplers import DDIMSampler


@pytest.mark.parametrize("prediction_type", ["v_prediction", "flow_prediction"])
def test_samples_of_a_network_that_predicts_a_velocity_are_those_of_its_noise(prediction_type):
    """z_0 = (z_t - sqrt(1 - abar_t) noise) / sqrt(abar_t)."""

    def velocity(z_t, t):
        alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
        noise = gaussian_denoise(z_t, t)
        z_0 = (z_t - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
        if prediction_type == "flow_prediction":
            return noise - z_0
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * z_0

    def draw(denoise):
        return DDIMSampler(SCHEDULE, 20, 1.0)(denoise, (2, 4, 6), generator=torch.Generator().manual_seed(0))

    assert torch.allclose(
        draw(to_epsilon_prediction(velocity, SCHEDULE, prediction_type)), draw(gaussian_denoise), atol=1e-4
    )
    assert to_epsilon_prediction(velocity, SCHEDULE, "epsilon") is velocity
