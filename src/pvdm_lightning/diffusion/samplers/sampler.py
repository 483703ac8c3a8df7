"""The sampling loop that all samplers share."""

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.random import Generators, randn


class Sampler(ABC):
    """Draws latents with a denoiser; subclasses say how one step is made.

    Args:
        schedule: The forward process the denoiser was trained with.
        timesteps: The times to visit, falling.
    """

    adds_noise = True
    """Whether steps take fresh noise."""

    def __init__(self, schedule: NoiseSchedule, timesteps: list[int]) -> None:
        self.schedule = schedule
        self.timesteps = timesteps

    @torch.no_grad()
    def __call__(
        self,
        denoise: Denoise,
        shape: tuple[int, int, int],
        condition: Tensor | None = None,
        generator: Generators = None,
    ) -> Tensor:
        """Sample latents.

        Args:
            denoise: Predicts epsilon.
            shape: (B, C, L).
            condition: Latents [B C L] of the clips before, or None.
            generator: See `randn`.

        Returns:
            [B C L], within the clip range of the schedule.
        """
        device = self.schedule.alpha_bar.device
        z = randn(shape, generator, device)
        self.reset()
        for t, t_next in pairwise([*self.timesteps, -1]):
            epsilon = denoise(z, torch.full((shape[0],), t, device=device), condition)
            noise = randn(shape, generator, device) if self.adds_noise and t_next >= 0 else torch.zeros_like(z)
            z = self.step(z, epsilon, t, t_next, noise)
        return z

    def reset(self) -> None:  # noqa: B027 - most samplers remember nothing
        """Forget the steps taken so far; called before the first one."""

    @abstractmethod
    def step(self, z: Tensor, epsilon: Tensor, t: int, t_next: int, noise: Tensor) -> Tensor:
        """Go from z_t to z_{t_next}.

        Args:
            z: z_t, [B C L].
            epsilon: The noise predicted in it.
            t: Its time.
            t_next: The time to go to, below t; -1 is the clean latent.
            noise: Fresh standard normal noise; not used by deterministic samplers, nor if `t_next` is -1.
        """
