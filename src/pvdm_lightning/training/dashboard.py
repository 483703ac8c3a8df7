"""What the modules show while they train: means over all processes, the loss by kind of sample, planes as pictures."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import Triplane

QUARTERS = 4
"""Parts of the diffusion time that the loss is split by."""


class Means:
    """Sums and counts of several metrics over clips.

    A process may have no clip at all, if all of its videos are broken: means are taken after sums are reduced.

    Args:
        names: Names of the metrics.
        device: Where they are computed.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device) -> None:
        self.names = names
        self._sums = torch.zeros(len(names), 2, device=device)

    def add(self, name: str, values: Tensor) -> None:
        """Add the values [B] of some clips."""
        self._sums[self.names.index(name)] += torch.stack([values.sum(), values.new_full((), len(values))])

    def reduce(self, strategy: Strategy) -> dict[str, tuple[float, int]]:
        """Mean and number of clips over all processes, of each metric that has clips."""
        sums = strategy.reduce(self._sums, reduce_op="sum").tolist()
        return {name: (total / count, int(count)) for name, (total, count) in zip(self.names, sums) if count}


class LossBreakdown:
    """Sums losses of samples between two entries of the log.

    Args:
        num_train_timesteps: T of the noise schedule.
    """

    def __init__(self, num_train_timesteps: int) -> None:
        self.num_train_timesteps = num_train_timesteps
        self.names = ["loss_unconditional", "loss_next_clip", *(f"loss_t_quarter_{q + 1}" for q in range(QUARTERS))]
        self._sums: Tensor | None = None

    def add(self, losses: Tensor, t: Tensor, condition: Condition) -> None:
        """Add a batch, without waiting for a GPU.

        Args:
            losses: [B].
            t: Timesteps int64 [B].
            condition: What the samples were conditioned on; those whose `previous` is not zero train the next clip.
        """
        previous = condition.previous
        conditioned = torch.zeros_like(t, dtype=torch.bool) if previous is None else previous.flatten(1).any(dim=1)
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


def plane_images(latent: Triplane) -> dict[str, Tensor]:
    """The first three channels of each plane as red, green and blue, from the plane's least to its largest value.

    Args:
        latent: Planes [B C . .]; a plane of fewer channels repeats its last.

    Returns:
        A row for each plane, by name: uint8 [B 3 1 . .].
    """
    titles = {
        "z_s: content, height x width": latent.z_s,
        "z_h: motion, time x width": latent.z_h,
        "z_w: motion, time x height": latent.z_w,
    }
    return {title: _as_image(plane.float()) for title, plane in titles.items()}


def _as_image(plane: Tensor) -> Tensor:
    channels = [min(channel, plane.shape[1] - 1) for channel in range(3)]
    colours = plane[:, channels]
    low, high = colours.amin(dim=(2, 3), keepdim=True), colours.amax(dim=(2, 3), keepdim=True)
    scaled = (colours - low) / (high - low).clamp_min(1e-6)
    return (255 * scaled).round().to(torch.uint8).unsqueeze(2)
