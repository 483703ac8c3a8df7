"""Callbacks: checkpoints, videos, latent shards and progress."""

from pvdm_lightning.callbacks.checkpoint_io import AtomicCheckpointIO
from pvdm_lightning.callbacks.checkpoints import Checkpoints
from pvdm_lightning.callbacks.data_config import SaveDataConfig
from pvdm_lightning.callbacks.divergence import DivergenceGuard
from pvdm_lightning.callbacks.finite_training import FiniteTraining
from pvdm_lightning.callbacks.latent_cache_writer import LatentCacheWriter
from pvdm_lightning.callbacks.prediction_writer import PredictionWriter
from pvdm_lightning.callbacks.run_progress import RunProgress
from pvdm_lightning.callbacks.run_record import RunRecord
from pvdm_lightning.callbacks.sampling_progress import SamplingProgress
from pvdm_lightning.callbacks.throughput import Throughput
from pvdm_lightning.callbacks.utilization import Utilization
from pvdm_lightning.callbacks.video_logger import VideoLogger
from pvdm_lightning.callbacks.weight_norms import WeightNorms

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
    "Utilization",
    "VideoLogger",
    "WeightNorms",
]
