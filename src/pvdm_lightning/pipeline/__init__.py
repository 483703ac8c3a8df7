"""Inference with trained models: encode, decode, reconstruct, sample, save. Training and evaluation use it too."""

from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.public_classes import trust_classes
from pvdm_lightning.pipeline.sampling import Sampling
from pvdm_lightning.pipeline.video_pipeline import VideoPipeline

__all__ = ["FrozenAutoencoder", "Sampling", "VideoPipeline", "trust_classes"]
