"""Stage one: clip <-> three latent planes."""

from pvdm_lightning.models.autoencoder.autoencoder import VideoAutoencoder

__all__ = ["VideoAutoencoder"]
