"""Callbacks: checkpoints, videos, latent shards and progress."""

from pvdm_lightning.callbacks.checkpoints import Checkpoints
from pvdm_lightning.callbacks.data_config import SaveDataConfig
from pvdm_lightning.callbacks.latent_cache_writer import LatentCacheWriter
from pvdm_lightning.callbacks.prediction_writer import PredictionWriter
from pvdm_lightning.callbacks.sampling_progress import SamplingProgress
from pvdm_lightning.callbacks.throughput import Throughput
from pvdm_lightning.callbacks.video_logger import VideoLogger

__all__ = [
    "Checkpoints",
    "LatentCacheWriter",
    "PredictionWriter",
    "SamplingProgress",
    "SaveDataConfig",
    "Throughput",
    "VideoLogger",
]
