"""What stage two consists of beside the first stage: one translation of its options into parts."""

from __future__ import annotations

from typing import NamedTuple

from pvdm_lightning.diffusion import NoiseSchedule, PredictionType
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline.latent_normalization import CLIP_RANGE, LatentNormalization


class DiffusionParts(NamedTuple):
    """The parts of a trained diffusion model, in the order in which `VideoPipeline` takes them.

    Attributes:
        denoiser: The network.
        schedule: The noise schedule it is trained with.
        normalization: Normalization of the latents it is trained on; None for the autoencoder's own.
        prediction_type: What it predicts.
    """

    denoiser: Denoiser
    schedule: NoiseSchedule
    normalization: LatentNormalization | None
    prediction_type: PredictionType

    @classmethod
    def build(
        cls,
        denoiser: Denoiser,
        normalize_latents: bool,
        prediction_type: PredictionType,
        num_train_timesteps: int,
        beta_start: float,
        beta_end: float,
    ) -> DiffusionParts:
        """Build the parts from options of `LatentDiffusionModule`, which checkpoints and saved pipelines record."""
        clip_range = CLIP_RANGE if normalize_latents else 1.0
        return cls(
            denoiser,
            NoiseSchedule(num_train_timesteps, beta_start, beta_end, clip_range),
            LatentNormalization(denoiser.latent_channels) if normalize_latents else None,
            prediction_type,
        )
