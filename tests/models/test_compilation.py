import copy

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from pvdm_lightning.models.compilation import compile_parts


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return self.scale(x) + 1

    def scale(self, x):
        return (x * self.weight).sin()


@pytest.fixture
def fresh():
    torch.compiler.reset()
    counters.clear()


def test_modules_of_one_class_share_what_is_compiled_for_every_size(fresh):
    layers = nn.Sequential(*(Scaled(factor) for factor in (1.0, 2.0, 3.0)))
    x = torch.randn(5, 7, requires_grad=True)
    expected, keys = layers(x), list(layers.state_dict())
    compile_parts([(layer, "scale") for layer in layers], backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(layers(x), expected)
    assert counters["stats"]["unique_graphs"] == 1
    with torch.compiler.set_stance("fail_on_recompile"):
        layers(torch.randn(3, 7, requires_grad=True)).sum().backward()
    assert list(layers.state_dict()) == keys and all(layer.weight.grad for layer in layers)


def test_a_copy_computes_with_its_own_weights(fresh):
    layer = Scaled(1.0)
    compile_parts([(layer, "scale")], backend="aot_eager")
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.fill_(0.0)
    x = torch.ones(4)
    assert torch.equal(other(x), torch.ones(4)) and not torch.equal(layer(x), other(x))


def test_a_size_that_equals_the_channels_may_change(fresh):
    layer = Scaled(1.0)
    compile_parts([(layer, "scale")], backend="aot_eager", fullgraph=True)
    layer(torch.randn(7, 7))
    with torch.compiler.set_stance("fail_on_recompile"):
        assert layer(torch.randn(5, 7)).shape == (5, 7)


def test_that_there_is_nothing_to_compile_is_said(caplog):
    with caplog.at_level("INFO"):
        compile_parts([])
    assert "nothing to compile" in caplog.text
