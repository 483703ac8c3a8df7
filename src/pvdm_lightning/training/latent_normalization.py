"""Latents around 0 with deviation 1, which the noise schedule is made for; the autoencoder's are what they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvdm_lightning.triplane import TriplaneShape

LIMIT = 10.0
"""Deviations that normalised latents stay within, where most of a plane is background and little of it is not."""


class LatentNormalization(nn.Module):
    """Shifts and scales each channel of each plane; does nothing until it has measured latents.

    What all latents have in common would have to be found in each sample anew, against norms that take it away; and a
    deviation far below 1 leaves most times of the schedule with nothing but noise. Latent diffusion scales by the
    deviation of the first batch for the latter (Rombach et al. 2022, appendix D.1).

    Args:
        channels: C.
    """

    mean: Tensor
    deviation: Tensor
    measured: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 3))
        self.register_buffer("deviation", torch.ones(channels, 3))
        self.register_buffer("measured", torch.tensor(False))

    def measure(self, latents: Tensor, shape: TriplaneShape, add_up: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        """Take mean and deviation of latents.

        Args:
            latents: [B C L], of any B of this process.
            shape: Sizes of their planes.
            add_up: The sum over all processes.
        """
        planes = latents.double().split(shape.lengths, dim=2)

        def mean(power: int) -> Tensor:
            return torch.stack([(plane**power).mean(dim=(0, 2)) for plane in planes], dim=1)

        count = torch.tensor(float(len(latents)), dtype=torch.float64, device=latents.device)
        first, second = add_up(count * mean(1)) / add_up(count), add_up(count * mean(2)) / add_up(count)
        self.mean.copy_(first)
        # A channel that never varies comes out as 0.
        self.deviation.copy_((second - first**2).clamp(min=1e-8).sqrt())
        self.measured.fill_(True)

    def forward(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Latents of the autoencoder [B C L] -> [B C L] around 0."""
        return (latents - self._spread(self.mean, shape)) / self._spread(self.deviation, shape)

    def inverse(self, latents: Tensor, shape: TriplaneShape) -> Tensor:
        """Back to latents of the autoencoder."""
        return latents * self._spread(self.deviation, shape) + self._spread(self.mean, shape)

    def _spread(self, values: Tensor, shape: TriplaneShape) -> Tensor:
        """[C 3] -> [C L]: a value for each token."""
        lengths = torch.tensor(shape.lengths, device=values.device)
        return values.repeat_interleave(lengths, dim=1, output_size=shape.num_tokens)
