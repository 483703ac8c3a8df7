"""Guidance against its formulas, with networks that are known in closed form."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gaussian import MEAN, SCHEDULE, STD, gaussian_denoise
from pvdm_lightning import InvalidArgumentError, NoiseSchedule
from pvdm_lightning.diffusion import Guidance, bind
from pvdm_lightning.models.condition import Condition, KnownFrames

SHAPE = (2, 3, 5)
GENERATOR = torch.Generator().manual_seed(0)
Z, T = torch.randn(SHAPE, generator=GENERATOR), torch.tensor([40, 700])
CONDITION = Condition(
    previous=torch.rand(SHAPE, generator=GENERATOR),
    known=KnownFrames(torch.rand(SHAPE, generator=GENERATOR), torch.ones(2, 4, dtype=torch.bool)),
    label=torch.tensor([2, 5]),
    context=torch.rand(2, 4, 6, generator=GENERATOR),
    extra={"speed": torch.tensor([0.5, -0.5])},
)


def own_share(condition, name):
    """What a part of a condition adds to the prediction of the network below; 0 where it is absent."""
    if condition is None or name not in condition.given:
        return 0.0
    part = condition.extra[name] if name in condition.extra else getattr(condition, name)
    values = {
        "previous": lambda: part.mean(dim=(1, 2)),
        "known": lambda: part.latent.mean(dim=(1, 2)) * part.mask.float().mean(dim=1),
        "label": lambda: (part + 1).float(),
        "context": lambda: part.sum(dim=(1, 2)),
        "speed": lambda: part,
    }
    return values[name]()[:, None, None]


NAMES = ("previous", "known", "label", "context", "speed")


class Network:
    """Its prediction is not linear in what it is given, so that parts cannot be told apart by their sum."""

    def __init__(self, factor=1.0):
        self.factor, self.batches = factor, []

    def __call__(self, z_t, t, condition=None):
        self.batches.append(len(z_t))
        total = sum(own_share(condition, name) for name in NAMES)
        return torch.sin(self.factor * z_t + t[:, None, None] / 100 + total) * (1 + 0.1 * total)


def evaluated(guidance, condition=CONDITION, worse=None, z=Z, t=T, prediction_type="epsilon"):
    network = Network()
    predict_worse = None if worse is None else bind(worse, SCHEDULE).predict
    bound = bind(network, SCHEDULE, prediction_type, condition, guidance, predict_worse)
    return bound(z, t), network.batches


def plain(condition, factor=1.0):
    return Network(factor)(Z, T, condition)


def test_one_part_is_the_usual_formula_to_the_bit():
    for scale in (0.0, 2.5):
        for condition in (Condition(CONDITION.previous), CONDITION):
            guided, batches = evaluated(Guidance({"previous": scale}), condition)
            weight = scale - 1
            expected = (1 + weight) * plain(condition) - weight * plain(condition.without("previous"))
            assert torch.equal(guided, expected)
            assert batches == [4]  # one call


@pytest.mark.parametrize("names", [("label", "previous"), ("known", "context"), NAMES])
def test_scales_of_parts_add_up(names):
    scales = {name: 1.5 + place for place, name in enumerate(names)}
    guided, batches = evaluated(Guidance(scales))
    expected = full = plain(CONDITION)
    for name, scale in scales.items():
        expected = expected + (scale - 1) * (full - plain(CONDITION.without(name)))
    assert torch.allclose(guided, expected, atol=1e-4)
    assert batches == [2 * (1 + len(names))]


def test_where_nothing_is_guided_there_is_one_evaluation():
    full = plain(CONDITION)
    worse = Network(0.5)
    for guidance in (None, Guidance(), Guidance(dict.fromkeys(NAMES, 1.0), rescale=1.0)):
        guided, batches = evaluated(guidance, worse=worse)
        assert torch.equal(guided, full) and batches == [2]
    assert worse.batches == []
    # Parts that are not there.
    given = Condition(label=CONDITION.label)
    for condition in (given, None):
        guided, batches = evaluated(Guidance({"previous": 4.0, "speed": 3.0}), condition)
        assert torch.equal(guided, plain(condition)) and batches == [2]


def test_a_sample_that_lacks_a_part_is_not_guided_by_it():
    some = CONDITION.keep({"label": torch.tensor([True, False]), "previous": torch.tensor([True, True])})
    guided, _ = evaluated(Guidance({"label": 5.0}), some)
    assert torch.allclose(guided[1], plain(some)[1], atol=1e-5)
    assert not torch.allclose(guided[0], plain(some)[0], atol=0.1)


def test_autoguidance_needs_no_condition():
    for condition in (None, CONDITION):
        worse = Network(0.5)
        guided, batches = evaluated(Guidance(autoguidance_scale=3.0), condition, worse)
        good, bad = plain(condition), plain(condition, 0.5)
        assert torch.allclose(guided, good + 2 * (good - bad), atol=1e-5)
        assert batches == worse.batches == [2]
        guided, _ = evaluated(Guidance(autoguidance_scale=0.0), condition, worse)
        assert torch.allclose(guided, bad, atol=1e-6)


def test_autoguidance_adds_to_guidance_by_parts():
    worse = Network(0.5)
    guided, batches = evaluated(Guidance({"label": 2.0, "known": 3.0}, autoguidance_scale=1.5), worse=worse)
    full = plain(CONDITION)
    expected = full + (full - plain(CONDITION.without("label"))) + 2 * (full - plain(CONDITION.without("known")))
    assert torch.allclose(guided, expected + 0.5 * (full - plain(CONDITION, 0.5)), atol=1e-4)
    assert batches == [6] and worse.batches == [2]


def test_autoguidance_of_gaussians():
    """A worse network has learned a wider distribution. Both scores are known, and so is that of their combination."""
    wider = 2 * STD

    def epsilon(z_t, t, std):
        alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
        return (1 - alpha_bar).sqrt() * (z_t - alpha_bar.sqrt() * MEAN) / (alpha_bar * std**2 + 1 - alpha_bar)

    def worse(z_t, t, condition=None):
        return SCHEDULE.velocity(*_parts(z_t, epsilon(z_t, t, wider), t), t)

    predict_worse = bind(worse, SCHEDULE, "v_prediction").predict  # in a prediction type of its own
    guidance = Guidance(autoguidance_scale=2.0)
    bound = bind(
        lambda z, t, condition=None: gaussian_denoise(z, t), SCHEDULE, guidance=guidance, predict_worse=predict_worse
    )
    alpha_bar = SCHEDULE.alpha_bar[T][:, None, None]
    precision = 2 / (alpha_bar * STD**2 + 1 - alpha_bar) - 1 / (alpha_bar * wider**2 + 1 - alpha_bar)
    expected = (1 - alpha_bar).sqrt() * (Z - alpha_bar.sqrt() * MEAN) * precision
    assert torch.allclose(bound(Z, T), expected, atol=1e-3)


def _parts(z_t, epsilon, t):
    """(z_0, noise) of z_t."""
    alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
    return (z_t - (1 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt(), epsilon


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("autoguided", [False, True])
def test_rescaling_brings_back_the_std_of_each_samples_z_0(phi, autoguided):
    guidance = Guidance({"label": 4.0}, rescale=phi, autoguidance_scale=2.0 if autoguided else 1.0)
    worse = Network(0.5)
    rescaled, _ = evaluated(guidance, worse=worse)
    guided, _ = evaluated(replace(guidance, rescale=0.0), worse=worse)
    z_0, guided_z_0, full_z_0 = (_parts(Z, one, T)[0] for one in (rescaled, guided, plain(CONDITION)))
    std, full_std = (one.flatten(1).std(dim=1)[:, None, None] for one in (guided_z_0, full_z_0))
    expected = phi * guided_z_0 * full_std / std + (1 - phi) * guided_z_0  # Lin et al. 2024, equations 15 and 16
    assert torch.allclose(z_0, expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(std, full_std, rtol=0.05)
    if phi == 1:
        assert torch.allclose(z_0.flatten(1).std(dim=1), full_std.flatten(), rtol=1e-3)


def test_samples_do_not_depend_on_their_batch():
    guidance = Guidance({"label": 2.0, "previous": 3.0}, rescale=0.5, autoguidance_scale=1.5)
    together, _ = evaluated(guidance, worse=Network(0.5))
    for row in (0, 1):
        condition = CONDITION.map(lambda part, row=row: part[row : row + 1])
        alone, _ = evaluated(guidance, condition, Network(0.5), Z[row : row + 1], T[row : row + 1])
        assert torch.allclose(alone[0], together[row], atol=1e-5)


def test_outside_of_the_interval_only_the_plain_prediction_is_evaluated():
    worse, network = Network(0.5), Network()
    guidance = Guidance({"label": 2.0}, (0.2, 0.6), autoguidance_scale=2.0)
    bound = bind(network, SCHEDULE, "epsilon", CONDITION, guidance, bind(worse, SCHEDULE).predict)
    for t, guided in ((199, False), (200, True), (599, True), (600, False), (0, False), (999, False)):
        network.batches.clear()
        worse.batches.clear()
        times = torch.full((2,), t)
        prediction = bound.at(t)(Z, times)
        assert (network.batches, worse.batches) == (([4], [2]) if guided else ([2], [])), t
        assert torch.equal(prediction, bound(Z, times) if guided else Network()(Z, times, CONDITION))


@pytest.mark.parametrize(
    ("interval", "steps", "expected"),
    [
        ((0, 1), 1000, range(1000)),
        ((0.7, 1.0), 11, range(7, 11)),  # 0.7 * 10 is above 7 in floating point
        ((0.0, 0.3), 11, range(4)),
        ((0.5, 0.5), 11, range(5, 6)),
        ((0.51, 0.59), 11, range(6, 6)),  # between two times
        ((0.0, 0.5), 1, range(1)),
    ],
)
def test_an_interval_as_times_of_a_schedule(interval, steps, expected):
    assert list(Guidance(interval=interval).times(NoiseSchedule(steps))) == list(expected)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scales": {"label": -1.0}}, "Guidance.scales -1.0: steers away from the class. Give 0 to 1000; 1 is no"),
        ({"scales": {"speed": -1.0}}, "Guidance.scales -1.0: steers away from the speed. Give 0 to 1000"),
        ({"scales": {"known": 2000}}, "Guidance.scales 2000: leaves nothing of a video. Give 0 to 1000; 1 is no"),
        ({"scales": {"label": float("nan")}}, "Guidance.scales nan: is not a finite number"),
        ({"autoguidance_scale": -0.5}, "Guidance.autoguidance_scale -0.5: steers away from the better network. Give"),
        ({"interval": (0.8, 0.2)}, "Guidance.interval 0.8,0.2: is not a first and a last share of the times. Give two"),
        ({"interval": (0.2, 1.5)}, "Guidance.interval 0.2,1.5: is not a first and a last share of the times. Give two"),
        ({"interval": (0.2,)}, "Guidance.interval 0.2: is not a first and a last share of the times. Give two numbers"),
        ({"rescale": 1.1}, "Guidance.rescale 1.1: is not between 0 and 1. Give 0 (not at all) to 1; 0.7 is usual."),
    ],
)
def test_guidance_that_cannot_be_followed(arguments, said):
    with pytest.raises(InvalidArgumentError) as caught:
        Guidance(**arguments)
    assert str(caught.value).startswith(said)


def test_guidance_in_words():
    assert str(Guidance()) == "guidance scale 1"
    whole = Guidance({"previous": 2, "label": 4.5, "known": 1}, (0.2, 0.75), 0.7, 1.5)
    assert str(whole) == (
        "guidance scale 2, 4.5 for label, autoguidance scale 1.5, guided from 0.2 to 0.75 of the times, rescaled by 0.7"
    )


def test_the_documented_noise_levels_are_those_of_the_default_schedule():
    page = (Path(__file__).parents[2] / "docs" / "guidance.md").read_text()
    shares, sigmas = (
        [float(number) for number in re.search(rf"^\| {name} \|(.*)\|$", page, re.MULTILINE)[1].split("|")]
        for name in ("share", "sigma")
    )
    for share, sigma in zip(shares, sigmas, strict=True):
        alpha_bar = SCHEDULE.alpha_bar[int(share * 999)]
        assert ((1 - alpha_bar) / alpha_bar).sqrt() == pytest.approx(sigma, rel=0.01)
