"""The loss of stage one: pixels, LPIPS, and two discriminators with feature matching (PVDM, appendix)."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import check_at_least
from pvdm_lightning.losses.adversarial import discriminator_hinge, feature_matching, generator_hinge
from pvdm_lightning.losses.perceptual import PerceptualLoss
from pvdm_lightning.models.discriminators import PatchDiscriminator

logger = logging.getLogger(__name__)
_LPIPS = "AutoencoderLoss.lpips_weights"


class AutoencoderLoss(nn.Module):
    """Losses of the autoencoder and of its discriminators, one for frames and one for clips.

    Args:
        pixel_loss: Distance of pixels: l1 as in the paper, or l2, which learns small moving things sooner.
        pixel_weight: Weight of the distance of pixels.
        gradient_weight: Weight of `gradient_distance`, which smooths plain areas; 0, as in the paper, trains without.
        perceptual_weight: Weight of LPIPS on one random frame of each clip; 0 trains without it.
        adversarial_weight: Weight of the hinge terms.
        feature_weight: Weight of feature matching.
        discriminator_channels: Channels of the discriminators' first layer.
        lpips_weights: Path of vgg16-397923af.pth; null looks for it in the cache folders.
    """

    config: dict[str, Any]

    @register_to_config
    def __init__(
        self,
        pixel_loss: Literal["l1", "l2"] = "l1",
        pixel_weight: float = 4.0,
        gradient_weight: float = 0.0,
        perceptual_weight: float = 4.0,
        adversarial_weight: float = 1.0,
        feature_weight: float = 4.0,
        discriminator_channels: int = 64,
        lpips_weights: str | None = None,
    ) -> None:
        super().__init__()
        check_at_least("AutoencoderLoss.discriminator_channels", discriminator_channels, 1)
        self.pixel_loss = pixel_loss
        self.pixel_weight = pixel_weight
        self.gradient_weight = gradient_weight
        self.perceptual_weight = perceptual_weight
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.lpips_weights = lpips_weights
        self.discriminators = nn.ModuleDict(
            {
                "frame": PatchDiscriminator(2, discriminator_channels),
                "clip": PatchDiscriminator(3, discriminator_channels),
            }
        )
        # Not registered: 60 MB of frozen VGG weights have no place in every checkpoint.
        self._perceptual: list[PerceptualLoss] = []

    def load_perceptual(self, quiet: bool = False) -> None:
        """Load LPIPS with the VGG-16 weights at `lpips_weights` or in a cache folder; without them, train without.

        Args:
            quiet: Do not log that LPIPS is missing, as on all ranks but the first.
        """
        if self.perceptual_weight == 0:
            if not quiet:
                logger.info("training without LPIPS (AutoencoderLoss.perceptual_weight 0)")
            return
        loss = PerceptualLoss.find(self.lpips_weights, _LPIPS)
        self._perceptual = [] if loss is None else [loss]
        if loss is None and not quiet:
            remedy = PerceptualLoss.how_to_add(_LPIPS)
            logger.warning(f"training without LPIPS: no VGG-16 weights found. {remedy}")

    def lpips_per_clip(self, reconstruction: Tensor, clip: Tensor) -> Tensor | None:
        """Mean LPIPS of the frames of each clip [B 3 S H W] in [-1, 1], float32 [B]; None without its weights."""
        if not self._perceptual:
            return None
        lpips = self._perceptual[0].to(clip.device)
        pairs = zip(reconstruction.transpose(1, 2), clip.transpose(1, 2))  # clip by clip: VGG-16 takes much memory
        return torch.stack([lpips(ours, theirs) for ours, theirs in pairs])

    def generator(
        self, clip: Tensor, reconstruction: Tensor, frame: Tensor, adversarial: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The autoencoder's loss and its terms.

        Args:
            clip: [B 3 S H W] in [-1, 1].
            reconstruction: Likewise.
            frame: The frame of each clip that LPIPS and the frame discriminator see, int64 [B].
            adversarial: Whether the discriminators take part.
        """
        pixel = (F.l1_loss if self.pixel_loss == "l1" else F.mse_loss)(reconstruction, clip)
        loss = self.pixel_weight * pixel
        terms: dict[str, Tensor] = {self.pixel_loss: pixel}
        if self.gradient_weight:
            terms["gradient"] = gradient_distance(reconstruction, clip)
            loss = loss + self.gradient_weight * terms["gradient"]
        if self._perceptual:
            lpips = self._perceptual[0].to(clip.device)
            terms["lpips"] = lpips(pick_frame(reconstruction, frame), pick_frame(clip, frame))
            loss = loss + self.perceptual_weight * terms["lpips"]
        if adversarial:
            # The discriminators do not learn here: no gradient is computed for their weights.
            self.discriminators.requires_grad_(False)
            hinge, matching = clip.new_zeros(()), clip.new_zeros(())
            for real, fake, discriminator in self._views(clip, reconstruction, frame):
                logits, features = discriminator(fake)
                with torch.no_grad():
                    _, real_features = discriminator(real)
                hinge = hinge + generator_hinge(logits)
                matching = matching + feature_matching(real_features, features)
            self.discriminators.requires_grad_(True)
            loss = loss + self.adversarial_weight * hinge + self.feature_weight * matching
            terms |= {"adversarial": hinge, "feature_matching": matching}
        return loss, terms

    def discriminator(self, clip: Tensor, reconstruction: Tensor, frame: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminators' hinge loss, unweighted, and what the frame and clip discriminators say.

        Arguments are as of `generator`. Of each discriminator: mean logits of real and reconstructed inputs, and the
        share of logits with the right sign.
        """
        loss = clip.new_zeros(())
        said: dict[str, Tensor] = {}
        names = self.discriminators.keys()
        for name, (real, fake, discriminator) in zip(names, self._views(clip, reconstruction, frame)):
            of_real, of_fake = discriminator(real)[0], discriminator(fake)[0]
            loss = loss + discriminator_hinge(of_real, of_fake)
            right = ((of_real > 0).float().mean() + (of_fake < 0).float().mean()) / 2
            logits = {"real": of_real.detach().mean(), "fake": of_fake.detach().mean(), "accuracy": right}
            said |= {f"{name}_discriminator_{key}": value for key, value in logits.items()}
        return loss, said

    def clip_gradients(self, max_norm: float) -> None:
        """Bound the norm of each discriminator's gradient."""
        for discriminator in self.discriminators.values():
            nn.utils.clip_grad_norm_(discriminator.parameters(), max_norm)

    def _views(self, clip: Tensor, reconstruction: Tensor, frame: Tensor) -> list[tuple[Tensor, Tensor, nn.Module]]:
        """Real input, reconstructed input and network of each discriminator."""
        frames = pick_frame(clip, frame), pick_frame(reconstruction, frame)
        return [(*frames, self.discriminators["frame"]), (clip, reconstruction, self.discriminators["clip"])]


def gradient_distance(one: Tensor, other: Tensor) -> Tensor:
    """L1 distance of the differences of neighbouring pixels, the mean over rows plus that over columns.

    Args:
        one: Clips [B 3 S H W].
        other: Likewise.
    """
    error = one - other  # differences are linear: those of the error are the error of those
    return error.diff(dim=3).abs().mean() + error.diff(dim=4).abs().mean()


def pick_frame(clip: Tensor, frame: Tensor) -> Tensor:
    """One frame of each clip: [B 3 S H W], [B] -> [B 3 H W]."""
    return clip[torch.arange(len(clip), device=clip.device), :, frame]
