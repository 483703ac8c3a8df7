import pickle

import pytest
import torch

from pvdm_lightning.training.ema import EMA


def test_moving_average_against_the_formula():
    network = torch.nn.Linear(1, 1, bias=False)
    average, expected = EMA(network, 0.5), network.weight.item()
    for n, value in enumerate((3.0, -1.0, 7.0, 2.0), start=1):
        network.weight.data.fill_(value)
        average.update(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert not average.network.weight.requires_grad


def test_a_moving_average_that_is_loaded_goes_on_counting():
    network = torch.nn.Linear(1, 1)
    average, other = EMA(network), EMA(network)
    for _ in range(3):
        average.update(network)
    other.update(network)
    other.load_state_dict(average.state_dict())
    network.weight.data.fill_(5.0)
    for one in (average, other):
        one.update(network)
    assert other.num_updates == pickle.loads(pickle.dumps(other)).num_updates == 4
    assert torch.equal(other.network.weight, average.network.weight)
