"""The network of stage two: predicts the noise in latent planes."""

from pvdm_lightning.models.unet.unet import TriplaneUNet

__all__ = ["TriplaneUNet"]
