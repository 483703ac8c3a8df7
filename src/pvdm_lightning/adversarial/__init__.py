"""The losses of stage one beyond L1: discriminators, hinge, feature matching, LPIPS."""

from pvdm_lightning.adversarial.discriminators import PatchDiscriminator
from pvdm_lightning.adversarial.losses import discriminator_hinge, feature_matching, generator_hinge
from pvdm_lightning.adversarial.perceptual import PerceptualLoss

__all__ = ["PatchDiscriminator", "PerceptualLoss", "discriminator_hinge", "feature_matching", "generator_hinge"]
