"""Callbacks: checkpoints, videos, latent shards and progress."""

from pvdm_lightning.callbacks.checkpoint_io import AtomicCheckpointIO
from pvdm_lightning.callbacks.checkpoints import Checkpoints
from pvdm_lightning.callbacks.guards import DivergenceGuard, FiniteTraining
from pvdm_lightning.callbacks.latent_cache_writer import LatentCacheWriter
from pvdm_lightning.callbacks.monitoring import Throughput, Utilization, WeightNorms
from pvdm_lightning.callbacks.prediction_writer import PredictionWriter
from pvdm_lightning.callbacks.progress import RunProgress, SamplingProgress
from pvdm_lightning.callbacks.records import RunRecord, SaveDataConfig
from pvdm_lightning.callbacks.time_budget import TimeBudget
from pvdm_lightning.callbacks.validation_distance import ValidationDistance
from pvdm_lightning.callbacks.video_logger import VideoLogger

__all__ = [
    "AtomicCheckpointIO",
    "Checkpoints",
    "DivergenceGuard",
    "FiniteTraining",
    "LatentCacheWriter",
    "PredictionWriter",
    "RunProgress",
    "RunRecord",
    "SamplingProgress",
    "SaveDataConfig",
    "Throughput",
    "TimeBudget",
    "Utilization",
    "ValidationDistance",
    "VideoLogger",
    "WeightNorms",
]
