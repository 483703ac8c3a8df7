"""Samplers: one algorithm a file."""

from pvdm_lightning.diffusion.samplers.ddim import DDIMSampler
from pvdm_lightning.diffusion.samplers.ddpm import DDPMSampler
from pvdm_lightning.diffusion.samplers.dpm_solver import DPMSolverSampler
from pvdm_lightning.diffusion.samplers.sampler import OnStep, Sampler

__all__ = ["DDIMSampler", "DDPMSampler", "DPMSolverSampler", "OnStep", "Sampler"]
