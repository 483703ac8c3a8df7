"""DDIM (Song et al. 2021, equation 12) with clipped z_0, from deterministic (eta 0) to ancestral-like (eta 1)."""

from collections.abc import Mapping

from torch import Tensor

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.samplers.sampler import Sampler
from pvdm_lightning.errors import check_numbers


class DDIMSampler(Sampler):
    """Draws latents in `num_inference_steps` evaluations of the denoiser.

    Noise is drawn at eta 0 too, so that a generator's numbers mean the same at every eta.

    Args:
        schedule: The forward process the denoiser was trained with.
        num_inference_steps: 1..T.
        eta: Share of fresh noise in each step, 0..1.
    """

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int = 100, eta: float = 1.0) -> None:
        check_numbers("DDIMSampler", locals())
        super().__init__(schedule, schedule.timesteps(num_inference_steps))
        self.eta = eta

    def coefficients(self) -> dict[str, Tensor]:
        alpha_bar, alpha_bar_next = self.alpha_bar[:-1], self.alpha_bar[1:]
        sigma = self.eta * ((1 - alpha_bar / alpha_bar_next) * (1 - alpha_bar_next) / (1 - alpha_bar)).sqrt()
        return {"z_0": alpha_bar_next.sqrt(), "epsilon": (1 - alpha_bar_next - sigma**2).sqrt(), "noise": sigma}

    def advance(
        self, c: Mapping[str, Tensor], z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor
    ) -> Tensor:
        return c["z_0"] * z_0 + c["epsilon"] * epsilon + c["noise"] * noise
