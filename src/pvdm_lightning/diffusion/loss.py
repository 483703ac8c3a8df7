"""The training objective: squared error of the prediction, with and without a condition (PVDM, equation 6)."""

from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.prediction_type import PredictionType, target
from pvdm_lightning.random import Generators, rand


def draw_conditional(has_previous: Tensor, probability: float, generator: Generators = None) -> Tensor:
    """Which samples train p(x^2 | x^1): each with probability lambda, never one without a clip before it.

    Args:
        has_previous: bool [B].
        probability: lambda.
        generator: Generator of the draw, one or one for each sample, on the device of `has_previous`.
    """
    draw = rand(tuple(has_previous.shape), generator)
    return (draw.to(has_previous.device) < probability) & has_previous


def denoising_loss(
    denoise: Denoise,
    schedule: NoiseSchedule,
    z_0: Tensor,
    t: Tensor,
    noise: Tensor,
    prediction_type: PredictionType = "epsilon",
) -> Tensor:
    """|eps - eps_theta(z_t, c, t)|^2, the mean over channels and tokens: [B].

    Drawing for each sample whether it has its condition (`draw_conditional`) gives the expectation
    lambda |eps - eps_theta(z_t^2, z_0^1, t)|^2 + (1 - lambda) |eps - eps_theta(z_t, 0, t)|^2.

    Args:
        denoise: The network, bound to its conditions; it predicts what `prediction_type` says.
        schedule: The forward process.
        z_0: Clean latents [B C L].
        t: Times, int64 [B].
        noise: eps [B C L], standard normal.
        prediction_type: What takes the place of eps in the formula.
    """
    predicted = denoise(schedule.add_noise(z_0, noise, t), t)
    return (predicted - target(schedule, z_0, noise, t, prediction_type)).square().mean(dim=(1, 2))
