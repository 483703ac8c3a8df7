from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pvdm_lightning.diffusion import DDIMSampler, NoiseSchedule, denoising_loss, guided
from pvdm_lightning.original import load_denoiser
from pvdm_lightning.triplane import TriplaneShape

HERE = Path(__file__).parent
LATENT = (2, 4, 2048)


@pytest.fixture(scope="module")
def sampling(case):
    description, checkpoint, recorded = case("sampling_32")
    return description, load_denoiser(checkpoint, TriplaneShape(16, 32, 32)).eval(), recorded


def test_schedule(sampling):
    recorded, schedule = sampling[2], NoiseSchedule()
    assert torch.equal(schedule.beta, recorded["schedule_betas"])
    assert (schedule.alpha_bar - recorded["schedule_alphas_cumprod"]).abs().max() < 1e-7
    previous = torch.cat([torch.ones(1), schedule.alpha_bar[:-1]])
    posterior = schedule.beta * (1 - previous) / (1 - schedule.alpha_bar)
    assert (posterior - recorded["schedule_posterior_variance"]).abs().max() < 1e-6


def test_noising_and_loss(sampling, fill):
    description, model, recorded = sampling
    schedule, seed = NoiseSchedule(), description["seed"]
    z_0, noise = fill.tensor("z0", LATENT, seed).clamp(-1, 1), fill.tensor("noise", LATENT, seed)
    assert (schedule.add_noise(z_0, noise, recorded["t"]) - recorded["z_t"]).abs().max() <= 1e-5
    with torch.no_grad():
        loss = denoising_loss(model, schedule, z_0, recorded["cond"], recorded["t"], noise)
    assert loss.shape == (2,)
    assert abs(loss.mean() - recorded["loss_l2"]) <= 1e-4


def run_of(sampling, name):
    description, model, recorded = sampling
    settings = description["runs"][name]
    sampler = DDIMSampler(NoiseSchedule(), settings["steps"], settings["eta"])
    generator = torch.Generator().manual_seed(description["draw_seed"])
    condition = recorded["cond"] if settings["conditional"] else None
    return sampler, guided(model, settings["guidance_w"]), condition, generator, recorded[name]


@pytest.mark.parametrize("name", ["ddim_10_eta1", "ddim_10_eta1_cond"])
def test_ddim_trajectory(sampling, name):
    sampler, denoise, condition, generator, recorded = run_of(sampling, name)
    z = sampler(denoise, LATENT, condition, generator)
    assert (z - recorded).abs().max() <= 1e-4


@pytest.mark.parametrize("name", ["ddim_10_eta0", "ddim_10_cfg"])
def test_every_step_of_a_ddim_trajectory(sampling, name):
    """Each step from the recorded state before it.

    With random weights these two runs amplify rounding: the original itself, with one thread instead of two, ends
    2.0 (eta 0) and 2.6e-4 (guidance) away from its own record. So the trajectory is held step by step.
    """
    sampler, denoise, condition, generator, recorded = run_of(sampling, name)
    states = load_file(HERE / "ddim_steps.safetensors")[name]
    z = torch.randn(LATENT, generator=generator)
    for t, t_next, after in zip(sampler.times, [*sampler.times[1:], -1], [*states, recorded], strict=True):
        fresh = torch.randn(LATENT, generator=generator)
        with torch.no_grad():
            stepped = sampler.step(z, denoise(z, torch.full((2,), t), condition), t, t_next, fresh)
        assert (stepped - after).abs().max() <= 1e-4, t
        z = after


def test_guided_trajectory_as_a_whole(sampling):
    sampler, denoise, condition, generator, recorded = run_of(sampling, "ddim_10_cfg")
    z = sampler(denoise, LATENT, condition, generator)
    assert (z - recorded).abs().max() <= 1e-3  # see test_every_step_of_a_ddim_trajectory
    assert (z - recorded).abs().mean() <= 1e-4
