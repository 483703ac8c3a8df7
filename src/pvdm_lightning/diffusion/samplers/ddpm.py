"""Ancestral sampling (Ho et al. 2020, algorithm 2) over all T steps, the reference the faster samplers approach."""

from collections.abc import Mapping

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

    def coefficients(self) -> dict[str, Tensor]:
        alpha_bar, alpha_bar_next = self.alpha_bar[:-1], self.alpha_bar[1:]
        beta = self.schedule.beta.cpu()[self.timesteps[:-1]]
        # Posterior mean and variance of Ho et al. 2020, equations 6 and 7.
        return {
            "z_0": alpha_bar_next.sqrt() * beta,
            "z": (1 - beta).sqrt() * (1 - alpha_bar_next),
            "divisor": 1 - alpha_bar,
            "std": (beta * (1 - alpha_bar_next) / (1 - alpha_bar)).sqrt(),
        }

    def advance(
        self, c: Mapping[str, Tensor], z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor
    ) -> Tensor:
        return (c["z_0"] * z_0 + c["z"] * z) / c["divisor"] + c["std"] * noise
