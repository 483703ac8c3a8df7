"""Samplers against closed forms: for Gaussian data N(mu, s^2) the best noise prediction is known."""

import pytest
import torch

from gaussian import MEAN, SCHEDULE, STD, gaussian_denoise
from pvdm_lightning.diffusion import NoiseSchedule
from pvdm_lightning.diffusion.samplers import DDIMSampler, DDPMSampler, DPMSolverSampler, sampler
from pvdm_lightning.random import randn


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps(steps):
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        DDIMSampler(SCHEDULE, steps)


@pytest.mark.parametrize(
    "sampler",
    [
        DDIMSampler(SCHEDULE, 200, eta=0.0),
        DDIMSampler(SCHEDULE, 400, eta=1.0),
        DDPMSampler(SCHEDULE),
        DPMSolverSampler(SCHEDULE, 20),
        DPMSolverSampler(SCHEDULE, 20, stochastic=True),
    ],
    ids=["ddim-eta0", "ddim-eta1", "ddpm", "dpm-solver", "dpm-solver-sde"],
)
def test_samplers_draw_the_gaussian_they_denoise(sampler):
    z = sampler(gaussian_denoise, (8, 4, 2048), generator=torch.Generator().manual_seed(0))
    assert z.mean().item() == pytest.approx(MEAN, abs=0.01)
    # The last step returns the mean of what z_0 may be, which is narrower; DDIM's last step is its longest.
    assert z.std().item() == pytest.approx(STD, rel=0.08)


def exact_ode_solution(z):
    """The probability-flow ODE keeps the quantile of a Gaussian: from z_T to z_0, whose best clean latent follows."""
    alpha_bar = SCHEDULE.alpha_bar[-1].double()
    quantile = (z.double() - alpha_bar.sqrt() * MEAN) / (alpha_bar * STD**2 + 1 - alpha_bar).sqrt()
    alpha_bar = SCHEDULE.alpha_bar[0].double()
    std = (alpha_bar * STD**2 + 1 - alpha_bar).sqrt()
    return MEAN + alpha_bar.sqrt() * STD**2 / std * quantile


def error_of(sampler):
    z = torch.randn((1, 2, 64), generator=torch.Generator().manual_seed(3))
    drawn = sampler(gaussian_denoise, (1, 2, 64), generator=torch.Generator().manual_seed(3))
    return (drawn - exact_ode_solution(z)).square().mean().sqrt().item()


def test_the_solver_is_far_ahead_of_ddim():
    five, ten, forty = (error_of(DPMSolverSampler(SCHEDULE, steps)) for steps in (5, 10, 40))
    assert ten < five / 3
    assert forty < ten
    assert error_of(DPMSolverSampler(SCHEDULE, 20)) < error_of(DDIMSampler(SCHEDULE, 80, 0.0)) / 3


def test_the_stochastic_solver_forgets_its_start(monkeypatch):
    """Two starts, the same fresh noise: the ends of the deterministic solver stay apart, the stochastic ones' meet."""
    apart = {}
    for stochastic in (False, True):
        ends = []
        for start in (-1.0, 1.0):
            fresh = torch.Generator().manual_seed(0)
            draws = iter([torch.full((1, 2, 64), start), *(torch.randn(1, 2, 64, generator=fresh) for _ in range(30))])
            monkeypatch.setattr(sampler, "randn", lambda *_, draws=draws: next(draws))
            ends.append(DPMSolverSampler(SCHEDULE, 30, stochastic)(gaussian_denoise, (1, 2, 64)))
        apart[stochastic] = (ends[0] - ends[1]).abs().mean().item()
    assert apart[True] < 0.1 * apart[False]


def test_draws_of_a_sample_do_not_depend_on_its_batch():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = DDIMSampler(SCHEDULE, 5)(gaussian_denoise, (3, 2, 8), generator=generators(1, 2, 3))
    alone = DDIMSampler(SCHEDULE, 5)(gaussian_denoise, (1, 2, 8), generator=generators(2))
    assert torch.allclose(together[1], alone[0], atol=1e-6)
    with pytest.raises(ValueError, match="2 generators for a batch of 3"):
        randn((3, 2), generators(1, 2), torch.device("cpu"))


@pytest.mark.parametrize("make", [DDIMSampler, DPMSolverSampler], ids=["ddim", "dpm-solver"])
def test_a_sampler_keeps_nothing_from_one_run_to_the_next(make):
    """Two runs whose steps take turns draw what each draws alone."""
    sampler = make(SCHEDULE, 6)
    alone = [sampler(gaussian_denoise, (1, 2, 8), torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    inner = []

    def interrupt(number, t, z):
        if number == 3:
            inner.append(sampler(gaussian_denoise, (1, 2, 8), torch.Generator().manual_seed(1)))

    outer = sampler(gaussian_denoise, (1, 2, 8), torch.Generator().manual_seed(0), on_step=interrupt)
    assert torch.equal(outer, alone[0]) and torch.equal(inner[0], alone[1])


@pytest.mark.parametrize("make", [DDIMSampler, DPMSolverSampler], ids=["ddim", "dpm-solver"])
def test_all_that_a_clip_needs_is_moved_to_the_device_at_its_start(monkeypatch, make):
    moved, steps = [], []
    upload = sampler._upload
    monkeypatch.setattr(sampler, "_upload", lambda numbers, device: moved.append(len(steps)) or upload(numbers, device))

    def run(generator):
        moved.clear(), steps.clear()
        return make(SCHEDULE, 7)(gaussian_denoise, (2, 2, 8), generator, lambda *step: steps.append(step))

    whole = run(torch.Generator().manual_seed(0))
    assert moved == [0, 0, 0]  # noise, coefficients, times
    # Very many steps: the noise of two at a time, where the first is the start.
    monkeypatch.setattr(sampler, "MOST_NUMBERS", 2 * 2 * 2 * 8)
    assert torch.equal(run(torch.Generator().manual_seed(0)), whole)
    assert moved == ([0, 0, 0, 1, 3, 5] if make is DDIMSampler else [0, 0, 0])


def test_clean_latents_are_predicted_and_clipped():
    z_0, noise = 3 * torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    for schedule in (SCHEDULE, NoiseSchedule(clip_range=20)):
        solver = DPMSolverSampler(schedule, 20)
        t = torch.full((2,), solver.timesteps[8])
        predicted = solver.step(8, schedule.add_noise(z_0, noise, t), noise, torch.zeros_like(noise))[1]
        assert torch.allclose(predicted, z_0.clamp(-schedule.clip_range, schedule.clip_range), atol=1e-4)


def test_steps_are_reported_with_their_time_and_latents():
    steps = []
    drawn = DDIMSampler(SCHEDULE, 5)(gaussian_denoise, (1, 2, 8), on_step=lambda *step: steps.append(step))
    assert [(number, t) for number, t, _ in steps] == list(enumerate(SCHEDULE.timesteps(5)))
    assert torch.equal(steps[-1][2], drawn)
