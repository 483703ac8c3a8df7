"""Latent planes as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from pvdm_lightning.models.triplane import Triplane


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
