"""The original implementation, imported from the user's checkout (environment variable REFERENCE) to be timed.

Nothing of it is copied. Its U-Net and autoencoder import torch, numpy and einops alone; its losses also import modules
that download weights or write logs, for which empty ones stand in.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

from torch import nn

CHECKOUT = os.environ.get("REFERENCE")


def _import(name: str, **stand_ins: dict[str, Any]) -> ModuleType:
    if CHECKOUT is not None and CHECKOUT not in sys.path:
        sys.path.insert(0, CHECKOUT)
    for module, contents in stand_ins.items():
        sys.modules[module] = ModuleType(module)
        vars(sys.modules[module]).update(contents)
    return import_module(name)


def unet(base_channels: int) -> nn.Module | None:
    """Its U-Net with the published configuration; None without a checkout."""
    if CHECKOUT is None:
        return None
    network: nn.Module = _import("models.ddpm.unet").UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=base_channels,
        attention_resolutions=[4, 2, 1],
        num_res_blocks=2,
        channel_mult=[1, 2, 4, 4],
        num_heads=8,
        use_scale_shift_norm=True,
        resblock_updown=True,
        cond_model=True,
    )
    return network


def autoencoder() -> nn.Module | None:
    """Its autoencoder with the published configuration; None without a checkout."""
    if CHECKOUT is None:
        return None
    sizes = {"channels": 384, "resolution": 256, "timesteps": 16, "splits": 1}
    network: nn.Module = _import("models.autoencoder.autoencoder_vit").ViTAutoencoder(4, sizes)
    return network


def discriminators() -> SimpleNamespace | None:
    """Its two discriminators; None without a checkout. Batch norm is the plain one: the synchronised needs a GPU."""
    if CHECKOUT is None:
        return None
    losses = _import("losses.perceptual", utils={"make_pairs": None}, requests={})
    return SimpleNamespace(
        frame=losses.NLayerDiscriminator(3, norm_layer=nn.BatchNorm2d),
        clip=losses.NLayerDiscriminator3D(3, norm_layer=nn.BatchNorm3d),
    )
