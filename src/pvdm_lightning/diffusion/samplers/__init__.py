"""Samplers: one algorithm a file, and the table of their names."""

from collections.abc import Callable

from pvdm_lightning.diffusion.noise_schedule import NoiseSchedule
from pvdm_lightning.diffusion.samplers.ddim import DDIMSampler
from pvdm_lightning.diffusion.samplers.ddpm import DDPMSampler
from pvdm_lightning.diffusion.samplers.dpm_solver import DPMSolverSampler
from pvdm_lightning.diffusion.samplers.sampler import OnStep, RunStep, Sampler

SAMPLERS: dict[str, Callable[[NoiseSchedule, int, float], Sampler]] = {
    "ddim": DDIMSampler,
    "ddpm": lambda schedule, num_inference_steps, eta: DDPMSampler(schedule),
    "dpm_solver": lambda schedule, num_inference_steps, eta: DPMSolverSampler(schedule, num_inference_steps),
    "dpm_solver_sde": lambda schedule, num_inference_steps, eta: DPMSolverSampler(schedule, num_inference_steps, True),
}
"""Names -> what builds a sampler from (schedule, num_inference_steps, eta). A sampler of your own adds its name."""

__all__ = ["SAMPLERS", "DDIMSampler", "DDPMSampler", "DPMSolverSampler", "OnStep", "RunStep", "Sampler"]
