"""Against closed forms: for Gaussian data N(mu, s^2) the best noise prediction is known."""

import pytest
import torch

from pvdm_lightning.diffusion import (
    DDIMSampler,
    DDPMSampler,
    DPMSolverSampler,
    NoiseSchedule,
    classifier_free_guidance,
    denoising_loss,
    draw_conditional,
    sample_clips,
    to_epsilon_prediction,
)
from pvdm_lightning.diffusion.samplers import sampler
from pvdm_lightning.random import randn

SCHEDULE = NoiseSchedule()
MEAN, STD = 0.1, 0.3  # the clamp at 1 is three deviations away


def gaussian_denoise(z_t, t, condition=None):
    """E[eps | z_t] for z_0 ~ N(MEAN, STD^2)."""
    alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
    variance = alpha_bar * STD**2 + 1 - alpha_bar
    return (1 - alpha_bar).sqrt() * (z_t - alpha_bar.sqrt() * MEAN) / variance


def test_schedule():
    assert SCHEDULE.beta[0].item() == pytest.approx(0.0015)
    assert SCHEDULE.beta[-1].item() == pytest.approx(0.0195)
    assert (SCHEDULE.alpha_bar.diff() < 0).all()
    assert SCHEDULE.alpha_bar[499].item() == pytest.approx((1 - SCHEDULE.beta[:500].double()).prod().item(), rel=1e-5)
    assert not SCHEDULE.state_dict()
    with pytest.raises(ValueError, match="num_train_timesteps"):
        NoiseSchedule(0)


def test_noise_is_found_again():
    z_0, noise, t = 3 * torch.randn(2, 4, 6), torch.randn(2, 4, 6), torch.tensor([300, 300])
    z_t = SCHEDULE.add_noise(z_0, noise, t)
    assert torch.allclose(SCHEDULE.predict_z_0(z_t, noise, 300), z_0.clamp(-1, 1), atol=1e-4)
    assert torch.allclose(NoiseSchedule(clip_range=20).predict_z_0(z_t, noise, 300), z_0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 10, 100, 999, 1000])
def test_sampling_times(steps):
    times = SCHEDULE.timesteps(steps)
    assert len(times) == steps
    assert times[0] == 999
    assert all(a > b for a, b in zip(times, times[1:]))
    assert times[-1] >= 0


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


@pytest.mark.parametrize("steps", [1, 2, 20, 400, 1000])
def test_log_snr_times(steps):
    times = SCHEDULE.log_snr_timesteps(steps)
    assert len(times) == steps
    assert all(a > b for a, b in zip(times, times[1:]))
    assert times[0] == 999
    assert steps == 1 or times[-1] == 0


def test_the_best_prediction_has_the_least_loss():
    generator = torch.Generator().manual_seed(0)
    z_0 = MEAN + STD * torch.randn(64, 4, 64, generator=generator)
    noise = torch.randn(z_0.shape, generator=generator)
    t = torch.randint(1000, (64,), generator=generator)
    best = denoising_loss(gaussian_denoise, SCHEDULE, z_0, None, t, noise).mean()
    for factor in (0.9, 1.1):
        worse = denoising_loss(lambda *a, f=factor: f * gaussian_denoise(*a), SCHEDULE, z_0, None, t, noise).mean()
        assert worse > best
    zero = denoising_loss(lambda z, t, c: torch.zeros_like(z), SCHEDULE, z_0, None, t, noise)
    assert torch.allclose(zero, noise.square().mean(dim=(1, 2)))


def test_the_noise_of_a_velocity():
    z_0, noise, t = torch.randn(3, 4, 6), torch.randn(3, 4, 6), torch.tensor([0, 300, 999])
    z_t, velocity = SCHEDULE.add_noise(z_0, noise, t), SCHEDULE.velocity(z_0, noise, t)
    assert torch.allclose(SCHEDULE.noise_of_velocity(z_t, velocity, t), noise, atol=1e-5)


def test_samples_of_a_network_that_predicts_velocity_are_those_of_its_noise():
    """v = (noise - sqrt(1 - abar_t) z_t) / sqrt(abar_t)."""

    def velocity(z_t, t, condition=None):
        alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
        return (gaussian_denoise(z_t, t) - (1 - alpha_bar).sqrt() * z_t) / alpha_bar.sqrt()

    def draw(denoise):
        return DDIMSampler(SCHEDULE, 20, 1.0)(denoise, (2, 4, 6), generator=torch.Generator().manual_seed(0))

    assert torch.allclose(
        draw(to_epsilon_prediction(velocity, SCHEDULE, "v_prediction")), draw(gaussian_denoise), atol=1e-4
    )
    assert to_epsilon_prediction(velocity, SCHEDULE, "epsilon") is velocity


def test_an_error_of_the_velocity_weighs_more_as_noise_grows():
    """The same z_0 wrong by d: d^2 abar_t / (1 - abar_t) for noise, d^2 / (1 - abar_t) for velocity."""
    z_0, noise, t = torch.zeros(2, 4, 6), torch.randn(2, 4, 6), torch.tensor([10, 900])
    alpha_bar = SCHEDULE.alpha_bar[t]

    def wrong(kind):
        def network(z_t, t, condition=None):
            ratio = SCHEDULE.alpha_bar[t].sqrt() / (1 - SCHEDULE.alpha_bar[t]).sqrt()
            other = noise - ratio[:, None, None] * 0.1  # the noise if z_0 were 0.1
            return other if kind == "epsilon" else SCHEDULE.velocity(z_0 + 0.1, other, t)

        return denoising_loss(network, SCHEDULE, z_0, None, t, noise, kind)

    assert torch.allclose(wrong("epsilon"), 0.01 * alpha_bar / (1 - alpha_bar), rtol=1e-3)
    assert torch.allclose(wrong("v_prediction"), 0.01 / (1 - alpha_bar), rtol=1e-3)


def test_conditional_share():
    has_previous = torch.arange(40_000) % 2 == 0
    drawn = draw_conditional(has_previous, 0.3, torch.Generator().manual_seed(0))
    assert not drawn[~has_previous].any()
    assert drawn[has_previous].float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert not draw_conditional(has_previous, 0.0).any()
    assert draw_conditional(has_previous, 1.0)[has_previous].all()


def test_guidance():
    calls = []

    def denoise(z, t, condition=None):
        calls.append(len(z))
        return z * 0 + (1.0 if condition is None else condition)

    z, t, condition = torch.zeros(2, 1, 3), torch.tensor([1, 2]), torch.full((2, 1, 3), 5.0)
    assert classifier_free_guidance(denoise, 0.0) is denoise
    assert torch.equal(classifier_free_guidance(denoise, 1.5)(z, t, condition), torch.full((2, 1, 3), 2.5 * 5.0))
    assert calls == [4]  # both halves in one call
    assert torch.equal(classifier_free_guidance(denoise, 1.5)(z, t, None), torch.ones(2, 1, 3))


def test_draws_of_a_sample_do_not_depend_on_its_batch():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = DDIMSampler(SCHEDULE, 5)(gaussian_denoise, (3, 2, 8), generator=generators(1, 2, 3))
    alone = DDIMSampler(SCHEDULE, 5)(gaussian_denoise, (1, 2, 8), generator=generators(2))
    assert torch.allclose(together[1], alone[0], atol=1e-6)
    with pytest.raises(ValueError, match="2 generators for a batch of 3"):
        randn((3, 2), generators(1, 2), torch.device("cpu"))


def test_a_long_video_goes_on_from_its_last_clip():
    seen = []

    def sampler(name):
        def draw(denoise, shape, condition=None, generator=None):
            seen.append((name, None if condition is None else condition.mean().item()))
            return torch.full(shape, float(len(seen)))

        return draw

    clips = list(sample_clips(gaussian_denoise, sampler("first"), sampler("later"), (1, 2, 3), 3))
    assert [clip.mean().item() for clip in clips] == [1, 2, 3]
    assert seen == [("first", None), ("later", 1.0), ("later", 2.0)]
