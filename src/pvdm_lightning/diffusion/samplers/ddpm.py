"""Ancestral sampling (Ho et al. 2020, algorithm 2) over all T steps, the reference the faster samplers approach."""

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.draws import Generators, normal
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule


class DDPMSampler:
    """z_{t-1} ~ q(z_{t-1} | z_t, z_0) at the predicted, clamped z_0, for t = T - 1 .. 0.

    Args:
        schedule: The forward process the denoiser was trained with.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self.schedule = schedule

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        shape: tuple[int, int, int],
        condition: Tensor | None = None,
        generator: Generators = None,
    ) -> Tensor:
        """Latents [B C L]; see `Sampler`."""
        alpha_bar, beta = self.schedule.alpha_bar, self.schedule.beta
        device = alpha_bar.device
        z = normal(shape, generator, device)
        for t in reversed(range(self.schedule.num_train_steps)):
            noise = denoise(z, torch.full((shape[0],), t, device=device), condition)
            z_0 = self.schedule.predict_z_0(z, noise, t)
            if t == 0:
                return z_0
            previous = alpha_bar[t - 1]
            # Posterior mean and variance of Ho et al. 2020, equations 6 and 7.
            mean = (previous.sqrt() * beta[t] * z_0 + (1 - beta[t]).sqrt() * (1 - previous) * z) / (1 - alpha_bar[t])
            variance = beta[t] * (1 - previous) / (1 - alpha_bar[t])
            z = mean + variance.sqrt() * normal(shape, generator, device)
        raise AssertionError("a schedule of no step")
