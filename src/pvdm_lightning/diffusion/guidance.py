"""Classifier-free guidance, as a wrapper of a denoiser."""

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise


def classifier_free_guidance(denoise: Denoise, weight: float) -> Denoise:
    """(1 + w) eps(z_t, c, t) - w eps(z_t, 0, t), both in one batch; where w or c is absent, `denoise` itself.

    Args:
        denoise: The network.
        weight: w; 0 is no guidance and costs nothing.
    """
    if weight == 0:
        return denoise

    def with_guidance(z_t: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        if condition is None:
            return denoise(z_t, t, None)
        both = denoise(torch.cat([z_t, z_t]), torch.cat([t, t]), torch.cat([condition, torch.zeros_like(condition)]))
        conditional, unconditional = both.chunk(2)
        return (1 + weight) * conditional - weight * unconditional

    return with_guidance
