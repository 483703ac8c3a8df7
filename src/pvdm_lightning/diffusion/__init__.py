"""Diffusion on latent sequences [B C L]: schedule, loss, guidance and samplers."""

from pvdm_lightning.diffusion.binding import BoundDenoiser, bind
from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.guidance import Guidance
from pvdm_lightning.diffusion.long_video import sample_clips
from pvdm_lightning.diffusion.loss import denoising_loss, draw_conditional
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.prediction_type import PredictionType, to_epsilon_prediction
from pvdm_lightning.diffusion.samplers import SAMPLERS, Sampler
from pvdm_lightning.diffusion.timestep_sampling import TimestepSampling, training_times

__all__ = [
    "SAMPLERS",
    "BoundDenoiser",
    "Denoise",
    "Guidance",
    "NoiseSchedule",
    "PredictionType",
    "Sampler",
    "TimestepSampling",
    "bind",
    "denoising_loss",
    "draw_conditional",
    "sample_clips",
    "to_epsilon_prediction",
    "training_times",
]
