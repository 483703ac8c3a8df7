"""DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second-order multistep solvers of the diffusion ODE and SDE."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.samplers.sampler import Sampler


class DPMSolverSampler(Sampler):
    """Draws latents, deterministically from the initial noise or with fresh noise in each step.

    With alpha = sqrt(abar), sigma = sqrt(1 - abar), lambda = log(alpha / sigma) and h the step in lambda:
    z_next = (sigma_next / sigma) z - alpha_next (e^{-h} - 1) D, where D extrapolates the last two predictions of
    z_0. Times are spaced evenly in lambda; the first step is of first order, and the last returns the prediction.

    The stochastic solver (SDE-DPM-Solver++, section 5 of the same paper) keeps less of z and replaces the rest by fresh
    noise: z_next = (sigma_next / sigma) e^{-h} z + alpha_next (1 - e^{-2h}) D + sigma_next sqrt(1 - e^{-2h}) noise.

    Args:
        schedule: The forward process the denoiser was trained with.
        num_inference_steps: 1..T.
        stochastic: Solve the SDE rather than the ODE.
    """

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int = 20, stochastic: bool = False) -> None:
        super().__init__(schedule, schedule.log_snr_timesteps(num_inference_steps))
        self.adds_noise = stochastic

    def coefficients(self) -> dict[str, Tensor]:
        alpha_bar = self.alpha_bar.double()
        alpha_next, sigma_next, sigma = alpha_bar[1:].sqrt(), (1 - alpha_bar[1:]).sqrt(), (1 - alpha_bar[:-1]).sqrt()
        h = self.schedule.half_log_snr()[self.timesteps].diff()
        # No extrapolation in the first step.
        extrapolation = F.pad(h[1:] / (2 * h[:-1]), (min(1, len(h)), 0))
        if not self.adds_noise:
            return {
                "z": sigma_next / sigma,
                "direction": -alpha_next * (-h).expm1(),
                "extrapolation": extrapolation,
            }
        variance = -(-2 * h).expm1()
        return {
            "z": sigma_next / sigma * (-h).exp(),
            "direction": alpha_next * variance,
            "extrapolation": extrapolation,
            "noise": sigma_next * variance.sqrt(),
        }

    def advance(
        self, c: Mapping[str, Tensor], z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor
    ) -> Tensor:
        direction = z_0 + c["extrapolation"] * (z_0 - last_z_0)
        z_next = c["z"] * z + c["direction"] * direction
        return z_next + c["noise"] * noise if self.adds_noise else z_next
