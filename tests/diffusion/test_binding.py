"""Condition, prediction type and guidance, bound to a network."""

import pytest
import torch

from gaussian import SCHEDULE
from pvdm_lightning.diffusion import bind
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

    bound = bind(network, SCHEDULE, prediction_type, Condition(condition) if conditional else None, scale)
    expected = 0.3 + (scale * condition if conditional else torch.zeros_like(condition))
    assert torch.allclose(bound(z, t), expected, atol=1e-3)
    assert calls == [4 if conditional and scale != 1 else 2]
