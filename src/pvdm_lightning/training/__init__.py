"""The LightningModules of both stages."""

from pvdm_lightning.training.autoencoder_module import AutoencoderModule
from pvdm_lightning.training.latent_diffusion_module import LatentDiffusionModule
from pvdm_lightning.training.latent_encoder import LatentEncoder

__all__ = ["AutoencoderModule", "LatentDiffusionModule", "LatentEncoder"]
