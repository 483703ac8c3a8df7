"""The noise schedule, its times, and what is computed from them."""

import pytest
import torch

from gaussian import SCHEDULE
from pvdm_lightning.diffusion import NoiseSchedule


def test_schedule():
    assert SCHEDULE.beta[0].item() == pytest.approx(0.0015)
    assert SCHEDULE.beta[-1].item() == pytest.approx(0.0195)
    assert (SCHEDULE.alpha_bar.diff() < 0).all()
    assert SCHEDULE.alpha_bar[499].item() == pytest.approx((1 - SCHEDULE.beta[:500].double()).prod().item(), rel=1e-5)
    assert not SCHEDULE.state_dict()
    with pytest.raises(ValueError, match="num_train_timesteps"):
        NoiseSchedule(0)


@pytest.mark.parametrize("steps", [1, 3, 10, 100, 999, 1000])
def test_sampling_times(steps):
    times = SCHEDULE.timesteps(steps)
    assert len(times) == steps
    assert times[0] == 999
    assert all(a > b for a, b in zip(times, times[1:]))
    assert times[-1] >= 0


@pytest.mark.parametrize("steps", [1, 2, 20, 400, 1000])
def test_log_snr_times(steps):
    times = SCHEDULE.log_snr_timesteps(steps)
    assert len(times) == steps
    assert all(a > b for a, b in zip(times, times[1:]))
    assert times[0] == 999
    assert steps == 1 or times[-1] == 0


def test_the_noise_of_a_velocity():
    z_0, noise, t = torch.randn(3, 4, 6), torch.randn(3, 4, 6), torch.tensor([0, 300, 999])
    z_t, velocity = SCHEDULE.add_noise(z_0, noise, t), SCHEDULE.velocity(z_0, noise, t)
    assert torch.allclose(SCHEDULE.noise_of_velocity(z_t, velocity, t), noise, atol=1e-5)
