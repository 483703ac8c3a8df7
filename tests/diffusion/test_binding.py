"""Condition, prediction type and guidance, bound to a network."""

import pytest
import torch

from gaussian import SCHEDULE, gaussian_denoise
from pvdm_lightning.diffusion import Guidance, bind
from pvdm_lightning.diffusion.samplers import SAMPLERS
from pvdm_lightning.models.condition import Condition


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("conditional", [False, True])
def test_a_bound_network_predicts_noise(prediction_type, scale, conditional):
    z, t, condition = torch.randn(2, 4, 6), torch.tensor([10, 900]), torch.rand(2, 4, 6)
    calls = []

    def noise(given):
        return 0.3 + (0 if given is None else given.previous)

    def network(z_t, t, condition=None):
        calls.append(len(z_t))
        epsilon = z_t * 0 + noise(condition)
        alpha_bar = SCHEDULE.alpha_bar[t][:, None, None]
        z_0 = (z_t - (1 - alpha_bar).sqrt() * epsilon) / alpha_bar.sqrt()
        return epsilon if prediction_type == "epsilon" else SCHEDULE.velocity(z_0, epsilon, t)

    given, guidance = Condition(condition) if conditional else None, Guidance({"previous": scale})
    bound = bind(network, SCHEDULE, prediction_type, given, guidance)
    expected = 0.3 + (scale * condition if conditional else torch.zeros_like(condition))
    assert torch.allclose(bound(z, t), expected, atol=1e-3)
    assert calls == [4 if conditional and scale != 1 else 2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_guide_within_the_interval_alone(sampler):
    """Each step is counted, and a sampler with guidance at all times differs."""
    calls = []

    def network(z_t, t, condition=None):
        calls.append((int(t[0]), len(z_t)))
        return gaussian_denoise(z_t, t) + 0.1 * condition.previous

    def sample(guidance):
        calls.clear()
        bound = bind(network, SCHEDULE, condition=Condition(torch.ones(2, 1, 3)), guidance=guidance)
        z = SAMPLERS[sampler](SCHEDULE, 10, 0.0)(bound, (2, 1, 3), torch.Generator().manual_seed(0))
        return z, dict(calls)

    always, batches = sample(Guidance({"previous": 3.0}))
    assert set(batches.values()) == {4}
    sometimes, batches = sample(Guidance({"previous": 3.0}, interval=(0.25, 0.75)))
    inside = {t for t, batch in batches.items() if batch == 4}
    assert inside == {t for t in batches if 0.25 <= t / 999 <= 0.75} and 0 < len(inside) < len(batches)
    never, batches = sample(None)
    assert set(batches.values()) == {2}
    assert not torch.equal(always, sometimes) and not torch.equal(sometimes, never)
    assert torch.equal(sample(Guidance({"previous": 1.0, "label": 4.0}))[0], never)
