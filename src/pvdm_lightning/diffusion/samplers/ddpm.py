"""Ancestral sampling (Ho et al. 2020, algorithm 2) over all T steps, the reference the faster samplers approach."""

from torch import Tensor

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.samplers.sampler import Sampler


class DDPMSampler(Sampler):
    """z_{t-1} ~ q(z_{t-1} | z_t, z_0) at the predicted, clipped z_0, for t = T - 1 .. 0.

    Args:
        schedule: The forward process the denoiser was trained with.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__(schedule, list(reversed(range(schedule.num_train_timesteps))))

    def advance(
        self, number: int, z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor | None
    ) -> Tensor:
        t, t_next = self.timesteps[number : number + 2]
        alpha_bar, alpha_bar_next = self.schedule.alpha_bar[t], self.schedule.alpha_bar[t_next]
        beta = self.schedule.beta[t]
        # Posterior mean and variance of Ho et al. 2020, equations 6 and 7.
        mean = (alpha_bar_next.sqrt() * beta * z_0 + (1 - beta).sqrt() * (1 - alpha_bar_next) * z) / (1 - alpha_bar)
        variance = beta * (1 - alpha_bar_next) / (1 - alpha_bar)
        return mean + variance.sqrt() * noise
