"""Diffusion on latent sequences [B C L]: schedule, loss, guidance and samplers. Knows no network."""

from pvdm_lightning.diffusion.denoise import Denoise
from pvdm_lightning.diffusion.draws import normal
from pvdm_lightning.diffusion.guidance import guided
from pvdm_lightning.diffusion.long_video import sample_clips
from pvdm_lightning.diffusion.loss import denoising_loss, draw_conditional
from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.prediction import Prediction, predicting_noise
from pvdm_lightning.diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolverSampler, Sampler

__all__ = [
    "DDIMSampler",
    "DDPMSampler",
    "DPMSolverSampler",
    "Denoise",
    "NoiseSchedule",
    "Prediction",
    "Sampler",
    "denoising_loss",
    "draw_conditional",
    "guided",
    "normal",
    "predicting_noise",
    "sample_clips",
]
