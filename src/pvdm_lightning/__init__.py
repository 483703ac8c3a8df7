"""Projected latent video diffusion (PVDM, CVPR 2023) in PyTorch Lightning: the public Python API.

Names are imported when they are first used, so that `import pvdm_lightning.models.triplane` does not load Lightning.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "AutoencoderModule": "training",
    "FrozenAutoencoder": "training",
    "LatentDiffusionModule": "training",
    "Sampling": "training",
    "Triplane": "models.triplane",
    "TriplaneShape": "models.triplane",
    "TriplaneUNet": "models.unet",
    "UserError": "errors",
    "VideoAutoencoder": "models.autoencoder",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
