"""Classifier-free guidance (Ho and Salimans 2022), as a wrapper of a denoiser."""

import torch
from torch import Tensor

from pvdm_lightning.diffusion.denoise import Denoise


def classifier_free_guidance(denoise_both: Denoise, guidance_scale: float) -> Denoise:
    """eps(z_t, 0, t) + s (eps(z_t, c, t) - eps(z_t, 0, t)), both evaluated as one batch.

    Args:
        denoise_both: Takes a batch twice: the first half is bound to the conditions, the second to their absence.
        guidance_scale: s, as in diffusers: 1 is no guidance. The paper's weight w is s - 1.
    """
    weight = guidance_scale - 1

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        conditional, unconditional = denoise_both(torch.cat([z_t, z_t]), torch.cat([t, t])).chunk(2)
        return (1 + weight) * conditional - weight * unconditional

    return denoise
