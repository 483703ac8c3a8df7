"""The one thing a sampler knows of a network."""

from typing import Protocol

from torch import Tensor


class Denoise(Protocol):
    """Predicts the noise in z_t; a network, or a wrapper of one such as guidance."""

    def __call__(self, z_t: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """z_t [B C L], t [B], condition [B C L] or None -> noise [B C L]."""
        ...
