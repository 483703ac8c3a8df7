"""The losses of stage one beyond L1: hinge, feature matching, LPIPS."""

from pvdm_lightning.losses.adversarial import discriminator_hinge, feature_matching, generator_hinge
from pvdm_lightning.losses.perceptual import PerceptualLoss

__all__ = ["PerceptualLoss", "discriminator_hinge", "feature_matching", "generator_hinge"]
