"""DDIM (Song et al. 2021, equation 12) with clamped x0, from deterministic (eta 0) to ancestral-like (eta 1)."""

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.draws import Generators, normal
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule


class DDIMSampler:
    """Draws latents in `num_sampling_steps` evaluations of the denoiser.

    Args:
        schedule: The forward process the denoiser was trained with.
        num_sampling_steps: Visited times, 1..T.
        eta: Share of fresh noise in each step, 0..1.
    """

    def __init__(self, schedule: NoiseSchedule, num_sampling_steps: int = 100, eta: float = 1.0) -> None:
        self.schedule = schedule
        self.times = schedule.sampling_times(num_sampling_steps)
        self.eta = eta

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
        z = normal(shape, generator, device)
        for t, t_next in zip(self.times, [*self.times[1:], -1], strict=True):
            noise = denoise(z, torch.full((shape[0],), t, device=device), condition)
            # Drawn at eta 0 too: a run with another eta then starts from, and meets, the same numbers.
            fresh = normal(shape, generator, device) if t_next >= 0 else noise
            z = self.step(z, noise, t, t_next, fresh)
        return z

    def step(self, z: Tensor, noise: Tensor, t: int, t_next: int, fresh: Tensor) -> Tensor:
        """From z_t [B C L] and its predicted noise to z_{t_next}; t_next -1 is the clean latent.

        Args:
            z: z_t.
            noise: The predicted noise in it.
            t: The time of z.
            t_next: The time to go to, below t.
            fresh: Standard normal draws for this step.
        """
        z_0 = self.schedule.predict_z_0(z, noise, t)
        if t_next < 0:
            return z_0
        now, then = self.schedule.alpha_bar[t], self.schedule.alpha_bar[t_next]
        sigma = self.eta * ((1 - now / then) * (1 - then) / (1 - now)).sqrt()
        return then.sqrt() * z_0 + (1 - then - sigma**2).sqrt() * noise + sigma * fresh
