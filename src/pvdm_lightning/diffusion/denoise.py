"""The one thing that samplers, guidance and the loss know of a network."""

from typing import Protocol

from torch import Tensor


class Denoise(Protocol):
    """Predicts the noise in z_t. Everything else, such as a condition, is bound to it beforehand."""

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        """z_t [B C L], t int64 [B] -> noise [B C L]."""
        ...
