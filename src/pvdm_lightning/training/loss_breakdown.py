"""The training loss of stage two by what was trained: with or without a condition, early or late in the diffusion."""

from __future__ import annotations

import torch
from torch import Tensor

QUARTERS = 4


class LossBreakdown:
    """Sums losses of samples between two entries of the log.

    Args:
        num_train_timesteps: T of the noise schedule.
    """

    def __init__(self, num_train_timesteps: int) -> None:
        self.num_train_timesteps = num_train_timesteps
        self.names = ["loss_unconditional", "loss_next_clip", *(f"loss_t_quarter_{q + 1}" for q in range(QUARTERS))]
        self._sums: Tensor | None = None

    def add(self, losses: Tensor, t: Tensor, condition: Tensor) -> None:
        """Add a batch, without waiting for a GPU.

        Args:
            losses: [B].
            t: Timesteps int64 [B].
            condition: Latents [B C L]; zero where there is none.
        """
        conditioned = condition.flatten(1).any(dim=1)
        quarter = (QUARTERS * t // self.num_train_timesteps)[None] == torch.arange(QUARTERS, device=t.device)[:, None]
        groups = torch.cat([~conditioned[None], conditioned[None], quarter]).to(losses.dtype)  # [2 + QUARTERS, B]
        sums = torch.stack([groups @ losses.detach(), groups.sum(dim=1)])
        self._sums = sums if self._sums is None else self._sums + sums

    def take(self) -> dict[str, Tensor]:
        """Means since the last call, on the CPU; of groups without a sample none."""
        if self._sums is None:
            return {}
        (totals, counts), self._sums = self._sums.cpu(), None
        return {name: totals[i] / counts[i] for i, name in enumerate(self.names) if counts[i]}
