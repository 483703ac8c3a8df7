"""Latents around 0 with deviation 1, which the noise schedule is made for; the autoencoder's are what they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvdm_lightning.triplane import TriplaneShape

LIMIT = 10.0
"""Deviations that normalised latents stay within: most of a plane is background, what is not lies far from it."""


class LatentNormalization(nn.Module):
    """Shifts each channel of each plane by its mean, and scales all by one number; nothing before it has measured.

    What all latents have in common would have to be found in each sample anew, against norms that take it away; and a
    deviation far below 1 leaves most times of the schedule with nothing but noise. Latent diffusion scales by the
    deviation of the first batch for the latter (Rombach et al. 2022, appendix D.1). One number for all: a channel that
    hardly varies, as saturated ones do, says little, and stays small.

    Args:
        channels: C.
    """

    mean: Tensor
    deviation: Tensor
    measured: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 3))
        self.register_buffer("deviation", torch.tensor(1.0))
        self.register_buffer("measured", torch.tensor(False))

    def measure(self, latents: Tensor, shape: TriplaneShape, add_up: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        """Take mean and deviation of latents.

        Args:
            latents: [B C L], of any B of this process.
            shape: Sizes of their planes.
            add_up: The sum over all processes.
        """
        latents = latents.float()
        count = add_up(latents.new_tensor(len(latents)))
        sums = torch.stack([plane.mean(dim=2).sum(dim=0) for plane in latents.split(shape.lengths, dim=2)], dim=1)
        self.mean.copy_(add_up(sums) / count)
        squares = (latents - self._spread(shape)).square().mean(dim=(1, 2)).sum()
        # Latents that never vary come out as 0.
        self.deviation.copy_((add_up(squares) / count).sqrt().clamp(min=1e-4))
        self.measured.fill_(True)

    def forward(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Latents of the autoencoder [B C L] -> [B C L] around 0."""
        return (latents - self._spread(shape)) / self.deviation

    def inverse(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Back to latents of the autoencoder."""
        return latents * self.deviation + self._spread(shape)

    def _spread(self, shape: TriplaneShape) -> Tensor:
        """The means [C 3] -> [C L], one for each token."""
        return torch.cat(
            [self.mean[:, plane, None].expand(-1, length) for plane, length in enumerate(shape.lengths)], dim=1
        )
