"""Times that training draws."""

import numpy as np
import pytest
import torch
from scipy import stats

from pvdm_lightning.diffusion import NoiseSchedule, training_times


@pytest.mark.parametrize("schedule", [NoiseSchedule(), NoiseSchedule(500, 3e-3, 0.04), NoiseSchedule(1000, 1e-4, 0.02)])
def test_logits_of_the_flow_time_are_standard_normal(schedule):
    number = schedule.num_train_timesteps
    drawn = training_times(schedule, "logit_normal")
    assert drawn.dtype == torch.int64 and drawn.shape == (number,) and (drawn.diff() >= 0).all()
    times = schedule.flow_time()
    normal = stats.norm.cdf(times.logit().numpy())
    # Whole times are as near as this, and noise ends with the schedule.
    most = np.diff(normal, prepend=0, append=1).max() + 1 / number
    assert stats.kstest(times[drawn].logit().numpy(), "norm").statistic <= most < 0.05
    # Uniform times are far from it.
    assert stats.kstest(times.logit().numpy(), "norm").statistic > 0.2


def test_uniform_times_are_all_of_them():
    assert training_times(NoiseSchedule(), "uniform").tolist() == list(range(1000))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_times(number):
    drawn = training_times(NoiseSchedule(number), "logit_normal")
    assert drawn.min() >= 0 and drawn.max() < number
