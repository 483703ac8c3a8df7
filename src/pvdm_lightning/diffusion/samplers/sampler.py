"""What every sampler is."""

from typing import Protocol

from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.draws import Generators


class Sampler(Protocol):
    """Draws latents with a denoiser."""

    def __call__(
        self,
        denoise: Denoise,
        shape: tuple[int, int, int],
        condition: Tensor | None = None,
        generator: Generators = None,
    ) -> Tensor:
        """Latents [B C L] in the schedule's limits, of the given shape (B, C, L), given a condition [B C L] or None."""
        ...
