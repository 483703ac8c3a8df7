"""The sampling loop that all samplers share."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.random import Generators, randn

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with its number, its time t, and the latents [B C L] that it led to."""


class Sampler(ABC):
    """Draws latents with a denoiser; subclasses define one step.

    A sampler holds no state between steps: one instance may draw several batches, in turn or at once.

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
        generator: Generators = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Sample latents.

        Args:
            denoise: Predicts epsilon.
            shape: (B, C, L).
            generator: See `randn`.
            on_step: Called after each step.

        Returns:
            [B C L], within the clip range of the schedule.
        """
        device = self.schedule.alpha_bar.device
        z = randn(shape, generator, device)
        z_0 = None
        for number, t in enumerate(self.timesteps):
            epsilon = denoise(z, torch.full((shape[0],), t, device=device))
            fresh = self.adds_noise and number + 1 < len(self.timesteps)
            noise = randn(shape, generator, device) if fresh else torch.zeros_like(z)
            z, z_0 = self.step(number, z, epsilon, noise, z_0)
            if on_step is not None:
                on_step(number, t, z)
        return z

    def step(
        self, number: int, z: Tensor, epsilon: Tensor, noise: Tensor, last_z_0: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Go from z_t at ``timesteps[number]`` to the next of the timesteps; the last step returns the clean latents.

        Args:
            number: Number of the step, from 0.
            z: z_t, [B C L].
            epsilon: The noise predicted in it.
            noise: Fresh standard normal noise; zeros if the sampler adds none.
            last_z_0: Clean latents that the step before predicted; None in the first step.

        Returns:
            The next latents [B C L], and the clean latents predicted in this step, clipped.
        """
        z_0 = self.schedule.predict_z_0(z, epsilon, self.timesteps[number])
        if number + 1 == len(self.timesteps):
            return z_0, z_0
        return self.advance(number, z, epsilon, noise, z_0, last_z_0), z_0

    @abstractmethod
    def advance(
        self, number: int, z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor | None
    ) -> Tensor:
        """Any step but the last: latents [B C L] at the next of the timesteps. Arguments as of `step`."""
