"""A sampler of your own: Euler's method on the probability-flow ODE, in the variables of Karras et al. 2022."""

from collections.abc import Mapping

from torch import Tensor

from pvdm_lightning import NoiseSchedule, VideoPipeline
from pvdm_lightning.diffusion import SAMPLERS, Sampler


class EulerSampler(Sampler):
    """Steps of first order in sigma = sqrt((1 - abar) / abar), for x = z / sqrt(abar): dx / dsigma = epsilon.

    Args:
        schedule: The forward process the denoiser was trained with.
        num_inference_steps: 1..T.
    """

    adds_noise = False

    def __init__(self, schedule: NoiseSchedule, num_inference_steps: int) -> None:
        super().__init__(schedule, schedule.log_snr_timesteps(num_inference_steps))

    def coefficients(self) -> dict[str, Tensor]:
        alpha, sigma = self.alpha_bar.sqrt(), (1 - self.alpha_bar).sqrt() / self.alpha_bar.sqrt()
        return {"alpha": alpha[:-1], "alpha_next": alpha[1:], "sigma": sigma[:-1], "step": sigma.diff()}

    def advance(
        self, c: Mapping[str, Tensor], z: Tensor, epsilon: Tensor, noise: Tensor, z_0: Tensor, last_z_0: Tensor
    ) -> Tensor:
        x = z / c["alpha"]
        # epsilon that follows from the clipped z_0, so that an overshoot of one step does not grow in the next.
        return c["alpha_next"] * (x + c["step"] * (x - z_0) / c["sigma"])


# From here on the name works everywhere: in Python, and as `--sampling.sampler euler` of a program that imports this.
SAMPLERS["euler"] = lambda schedule, num_inference_steps, eta: EulerSampler(schedule, num_inference_steps)

if __name__ == "__main__":
    pipeline = VideoPipeline.from_pretrained("showcase")
    print(pipeline.sample(sampler="euler", num_inference_steps=10).shape)
