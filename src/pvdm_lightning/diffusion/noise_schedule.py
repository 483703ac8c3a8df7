"""The forward process q(z_t | z_0) = N(sqrt(abar_t) z_0, (1 - abar_t) I) (PVDM, section 2.1)."""

from typing import Any

import torch
from torch import Tensor, nn

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import InvalidArgumentError, check_at_least


class NoiseSchedule(nn.Module):
    """beta_t = linspace(sqrt(beta_start), sqrt(beta_end), T)^2 and abar_t = prod_{i<=t} (1 - beta_i).

    Tables are computed in float64 and kept in float32; they follow the module's device and stay out of its
    state dict, since they follow from the arguments.

    Args:
        num_train_timesteps: T, steps of the forward process.
        beta_start: beta at t = 0.
        beta_end: beta at t = T - 1.
        clip_range: Clean latents lie in [-clip_range, clip_range].
    """

    beta: Tensor
    alpha_bar: Tensor

    config: dict[str, Any]

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0015,
        beta_end: float = 0.0195,
        clip_range: float = 1.0,
    ) -> None:
        super().__init__()
        check_at_least("NoiseSchedule.num_train_timesteps", num_train_timesteps, 1)
        if not 0 < beta_start <= beta_end < 1:
            names, betas = "NoiseSchedule.beta_start/NoiseSchedule.beta_end", f"{beta_start}/{beta_end}"
            remedy = "Give 0.0015 and 0.0195, as the paper."
            raise InvalidArgumentError(names, betas, "do not rise from above 0 to below 1", remedy)
        self.num_train_timesteps = num_train_timesteps
        self.clip_range = clip_range
        beta = torch.linspace(beta_start**0.5, beta_end**0.5, num_train_timesteps, dtype=torch.float64) ** 2
        self.register_buffer("beta", beta.float(), persistent=False)
        self.register_buffer("alpha_bar", (1 - beta).cumprod(0).float(), persistent=False)

    def add_noise(self, z_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise; z_0, noise [B C L], t int64 [B]."""
        alpha_bar = self.alpha_bar[t][:, None, None]
        return alpha_bar.sqrt() * z_0 + (1 - alpha_bar).sqrt() * noise

    def velocity(self, z_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """v_t = sqrt(abar_t) noise - sqrt(1 - abar_t) z_0 (Salimans and Ho 2022); as add_noise."""
        alpha_bar = self.alpha_bar[t][:, None, None]
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * z_0

    def noise_of_velocity(self, z_t: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
        """The noise in z_t [B C L] if its velocity is `velocity` [B C L]; t int64 [B]."""
        alpha_bar = self.alpha_bar[t][:, None, None]
        return alpha_bar.sqrt() * velocity + (1 - alpha_bar).sqrt() * z_t

    def flow_time(self) -> Tensor:
        """s_t = sqrt(1 - abar_t) / (sqrt(abar_t) + sqrt(1 - abar_t)), float64 [T] on the CPU, rising with t.

        On the straight path (1 - s) z_0 + s noise of rectified flow (Liu et al. 2022), the time at which the ratio of
        z_0 to noise is that of t: the two paths pass the same points, but for their scale.
        """
        return (-self.half_log_snr()).sigmoid()

    def noise_of_flow(self, z_t: Tensor, flow: Tensor, t: Tensor) -> Tensor:
        """The noise in z_t [B C L] if noise - z_0 is `flow` [B C L]; t int64 [B]."""
        alpha_bar = self.alpha_bar[t][:, None, None]
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        return (z_t + alpha * flow) / (alpha + sigma)

    def timesteps(self, num_inference_steps: int) -> list[int]:
        """The visited times, from T - 1 down: linspace(-1, T - 1, steps + 1) truncated, without the final -1.

        Raises:
            ValueError: `num_inference_steps` is not in 1..T.
        """
        if not 1 <= num_inference_steps <= self.num_train_timesteps:
            raise ValueError(f"num_inference_steps is in 1..{self.num_train_timesteps}, got {num_inference_steps}")
        # float32 and truncation as in the original: with float64 some times would differ by one.
        times = torch.linspace(-1, self.num_train_timesteps - 1, num_inference_steps + 1).int().tolist()
        return list(reversed(times))[:-1]

    def half_log_snr(self) -> Tensor:
        """lambda_t = log(sqrt(abar_t) / sqrt(1 - abar_t)), float64 [T] on the CPU, falling with t."""
        alpha_bar = self.alpha_bar.cpu().double()
        return 0.5 * (alpha_bar.log() - (1 - alpha_bar).log())

    def log_snr_timesteps(self, num_inference_steps: int) -> list[int]:
        """`num_inference_steps` distinct times from T - 1 down to 0, as evenly spaced in lambda as whole times can be.

        Raises:
            ValueError: `num_inference_steps` is not in 1..T.
        """
        if not 1 <= num_inference_steps <= self.num_train_timesteps:
            raise ValueError(f"num_inference_steps is in 1..{self.num_train_timesteps}, got {num_inference_steps}")
        rising = self.half_log_snr().flip(0)
        wanted = torch.linspace(float(rising[0]), float(rising[-1]), num_inference_steps, dtype=torch.float64)
        times = (self.num_train_timesteps - 1 - torch.searchsorted(rising, wanted).clamp(max=len(rising) - 1)).tolist()
        # lambda is steep near t = 0, where several wanted times fall on one: push them apart, from the end back, then
        # from the start on where that ran past T - 1.
        for i in reversed(range(num_inference_steps - 1)):
            times[i] = max(times[i], times[i + 1] + 1)
        times[0] = self.num_train_timesteps - 1
        for i in range(1, num_inference_steps):
            times[i] = min(times[i], times[i - 1] - 1)
        return times
