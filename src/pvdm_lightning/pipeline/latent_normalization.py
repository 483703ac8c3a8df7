"""Normalization of latents to mean 0 and std 1, as noise schedules assume."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvdm_lightning.models.triplane import TriplaneShape

CLIP_RANGE = 10.0
"""Deviations that normalised latents stay within: most of a plane is background, what is not lies far from it."""


class LatentNormalization(nn.Module):
    """Shifts each channel of each plane by its mean and scales all by one number; the identity before `measure`.

    What all latents have in common would have to be found in each sample anew, against norms that take it away; and a
    std far below 1 leaves most times of the schedule with nothing but noise. Latent diffusion scales by the
    std of the first batch for the latter (Rombach et al. 2022, appendix D.1). One number for all: a channel that
    hardly varies, as saturated ones do, says little, and stays small.

    Args:
        channels: C.
    """

    mean: Tensor
    std: Tensor
    measured: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 3))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("measured", torch.tensor(False))

    def measure(
        self, latents: Tensor, shape: TriplaneShape, all_reduce: Callable[[Tensor], Tensor] = lambda x: x
    ) -> None:
        """Take mean and std of latents.

        Args:
            latents: [B C L], of any B of this process.
            shape: Sizes of their planes.
            all_reduce: The sum over all processes.
        """
        latents = latents.float()
        count = all_reduce(latents.new_tensor(len(latents)))
        sums = torch.stack([plane.mean(dim=2).sum(dim=0) for plane in latents.split(shape.lengths, dim=2)], dim=1)
        self.mean.copy_(all_reduce(sums) / count)
        squares = (latents - self._spread(shape)).square().mean(dim=(1, 2)).sum()
        # Latents that never vary come out as 0.
        self.std.copy_((all_reduce(squares) / count).sqrt().clamp(min=1e-4))
        self.measured.fill_(True)

    def forward(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Latents of the autoencoder [B C L] -> [B C L] around 0."""
        return (latents - self._spread(shape)) / self.std

    def inverse(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Back to latents of the autoencoder."""
        return latents * self.std + self._spread(shape)

    def _spread(self, shape: TriplaneShape) -> Tensor:
        """The means [C 3] -> [C L], one for each token."""
        return torch.cat(
            [self.mean[:, plane, None].expand(-1, length) for plane, length in enumerate(shape.lengths)], dim=1
        )
