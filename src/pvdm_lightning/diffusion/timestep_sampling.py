"""Which times training steps draw: all alike, as in the paper, or those of middling noise more often."""

from typing import Literal

import torch
from torch import Tensor

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule

TimestepSampling = Literal["uniform", "logit_normal"]


def training_times(schedule: NoiseSchedule, timestep_sampling: TimestepSampling) -> Tensor:
    """The times that T equally likely numbers stand for, int64 [T] on the CPU, rising.

    uniform: t = 0 .. T - 1. logit_normal (Esser et al. 2024, section 3.1): the logit of the flow time
    (`NoiseSchedule.flow_time`) is standard normal, so that steps go to where data and noise are about as strong.
    """
    number = schedule.num_train_timesteps
    if timestep_sampling == "uniform":
        return torch.arange(number)
    shares = (torch.arange(number, dtype=torch.float64) + 0.5) / number
    wanted = torch.special.ndtri(shares).sigmoid()
    return torch.searchsorted(schedule.flow_time(), wanted).clamp(max=number - 1)
