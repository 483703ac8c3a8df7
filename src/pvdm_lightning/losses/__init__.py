"""The losses of stage one."""

from pvdm_lightning.losses.autoencoder_loss import AutoencoderLoss
from pvdm_lightning.losses.perceptual import PerceptualLoss

__all__ = ["AutoencoderLoss", "PerceptualLoss"]
