"""What the network is trained to predict: the noise, as in the paper, or the velocity."""

from typing import Literal

from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule

PredictionType = Literal["epsilon", "v_prediction"]


def to_epsilon_prediction(predict: Denoise, schedule: NoiseSchedule, prediction_type: PredictionType) -> Denoise:
    """Turn what a network predicts into the noise that samplers expect.

    A small error of the noise near t = T is a large one of z_0 (by 1 / sqrt(abar_T), 80 for the default schedule), so
    that what a video looks like as a whole is learned last; an error of the velocity is of the same size everywhere.

    Args:
        predict: The network, bound to its conditions; predicts noise or velocity.
        schedule: The forward process it was trained with.
        prediction_type: Which of the two.
    """
    if prediction_type == "epsilon":
        return predict

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        return schedule.noise_of_velocity(z_t, predict(z_t, t), t)

    return denoise
