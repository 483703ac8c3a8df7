"""Weights of the original implementation, renamed into our modules."""

from pvdm_lightning.convert.autoencoder import load_autoencoder
from pvdm_lightning.convert.denoiser import load_denoiser
from pvdm_lightning.convert.i3d import ORIGINAL_I3D, STRETCHED_I3D, load_i3d

__all__ = ["ORIGINAL_I3D", "STRETCHED_I3D", "load_autoencoder", "load_denoiser", "load_i3d"]
