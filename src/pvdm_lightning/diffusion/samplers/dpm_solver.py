"""DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second-order multistep solvers of the diffusion ODE and SDE."""

import math

from torch import Tensor

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
        # On the CPU: steps read them as numbers, for which a GPU would have to be waited for.
        self._alpha_bar = schedule.alpha_bar.cpu().double()
        self._half_log_snr = schedule.half_log_snr()

    def advance(
        self, number: int, z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor | None
    ) -> Tensor:
        t, t_next = self.timesteps[number : number + 2]
        h = float(self._half_log_snr[t_next] - self._half_log_snr[t])
        direction = z_0
        if last_z_0 is not None:
            last_h = float(self._half_log_snr[t] - self._half_log_snr[self.timesteps[number - 1]])
            direction = z_0 + h / (2 * last_h) * (z_0 - last_z_0)
        alpha, sigma = (float(part.sqrt()) for part in (self._alpha_bar[t_next], 1 - self._alpha_bar[t_next]))
        kept = sigma / float((1 - self._alpha_bar[t]).sqrt())
        if not self.adds_noise:
            return kept * z - alpha * math.expm1(-h) * direction
        variance = -math.expm1(-2 * h)
        return kept * math.exp(-h) * z + alpha * variance * direction + sigma * math.sqrt(variance) * noise
