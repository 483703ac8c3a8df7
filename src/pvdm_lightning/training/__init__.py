"""The Lightning modules of both stages, and what wires networks, losses and samplers together."""

from pvdm_lightning.training.autoencoder_module import AutoencoderModule
from pvdm_lightning.training.latent_diffusion_module import LatentDiffusionModule
from pvdm_lightning.training.latent_encoder import LatentEncoder

__all__ = ["AutoencoderModule", "LatentDiffusionModule", "LatentEncoder"]
