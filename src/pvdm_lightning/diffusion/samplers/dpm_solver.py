"""DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second-order multistep solvers of the diffusion ODE and SDE."""

import math

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.draws import Generators, normal
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule


class DPMSolverSampler:
    """Draws latents, deterministically from the starting noise or with fresh noise in each step.

    With alpha = sqrt(abar), sigma = sqrt(1 - abar), lambda = log(alpha / sigma) and h the step in lambda:
    z_next = (sigma_next / sigma) z - alpha_next (e^{-h} - 1) D, where D extrapolates the last two predictions of
    z_0. Times are spaced evenly in lambda; the first step is of first order, and the last returns the prediction.

    The stochastic solver (SDE-DPM-Solver++, the same paper, section 5) forgets more of z and draws what it forgets
    anew: z_next = (sigma_next / sigma) e^{-h} z + alpha_next (1 - e^{-2h}) D + sigma_next sqrt(1 - e^{-2h}) noise.

    Args:
        schedule: The forward process the denoiser was trained with.
        num_sampling_steps: Visited times, 1..T.
        stochastic: Solve the SDE rather than the ODE.
    """

    def __init__(self, schedule: NoiseSchedule, num_sampling_steps: int = 20, stochastic: bool = False) -> None:
        self.schedule = schedule
        self.stochastic = stochastic
        self.times = schedule.log_snr_times(num_sampling_steps)

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        shape: tuple[int, int, int],
        condition: Tensor | None = None,
        generator: Generators = None,
    ) -> Tensor:
        """Latents [B C L]; see `Sampler`."""
        device = self.schedule.alpha_bar.device
        alpha_bar = self.schedule.alpha_bar.cpu().double()  # read as numbers below: a GPU would be waited for
        half_log_snr = self.schedule.half_log_snr()
        z = normal(shape, generator, device)
        previous: tuple[Tensor, float] | None = None  # the last prediction of z_0, and the step that led from it
        for t, t_next in zip(self.times, [*self.times[1:], None], strict=True):
            noise = denoise(z, torch.full((shape[0],), t, device=device), condition)
            z_0 = self.schedule.predict_z_0(z, noise, t)
            if t_next is None:
                return z_0
            step = float(half_log_snr[t_next] - half_log_snr[t])
            if previous is None:
                direction = z_0
            else:
                last_z_0, last_step = previous
                direction = z_0 + step / (2 * last_step) * (z_0 - last_z_0)
            alpha, sigma = (float(share.sqrt()) for share in (alpha_bar[t_next], 1 - alpha_bar[t_next]))
            kept = sigma / float((1 - alpha_bar[t]).sqrt())
            if self.stochastic:
                variance = -math.expm1(-2 * step)
                z = kept * math.exp(-step) * z + alpha * variance * direction
                z = z + sigma * math.sqrt(variance) * normal(shape, generator, device)
            else:
                z = kept * z - alpha * math.expm1(-step) * direction
            previous = (z_0, step)
        raise AssertionError("a schedule of no step")
