"""What the network is trained to predict: the noise, as in the paper, or one of two velocities."""

from typing import Literal

from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule

PredictionType = Literal["epsilon", "v_prediction", "flow_prediction"]
"""The noise; v_t = sqrt(abar_t) noise - sqrt(1 - abar_t) z_0 (Salimans and Ho 2022); noise - z_0, the velocity of
rectified flow (Liu et al. 2022), which is that of a straight path and the same at all times."""


def target(schedule: NoiseSchedule, z_0: Tensor, noise: Tensor, t: Tensor, prediction_type: PredictionType) -> Tensor:
    """What a network is to predict at times t int64 [B], of z_0 and noise [B C L]."""
    if prediction_type == "epsilon":
        return noise
    return noise - z_0 if prediction_type == "flow_prediction" else schedule.velocity(z_0, noise, t)


def to_epsilon_prediction(predict: Denoise, schedule: NoiseSchedule, prediction_type: PredictionType) -> Denoise:
    """Turn what a network predicts into the noise that samplers expect.

    A small error of the noise near t = T is a large one of z_0 (by 1 / sqrt(abar_T), 80 for the default schedule), so
    that what a video looks like as a whole is learned last; an error of a velocity is of the same size everywhere.

    Args:
        predict: The network, bound to its conditions.
        schedule: The forward process it was trained with.
        prediction_type: What it predicts.
    """
    if prediction_type == "epsilon":
        return predict
    to_noise = schedule.noise_of_flow if prediction_type == "flow_prediction" else schedule.noise_of_velocity

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        return to_noise(z_t, predict(z_t, t), t)

    return denoise
