"""Both routes of a linear layer, and when the second is taken."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pvdm_lightning.autoencoder import linear
from pvdm_lightning.autoencoder.linear import Linear


@pytest.fixture
def taken(monkeypatch):
    """Convolutions are said to be faster for work of any size; the calls of that route."""
    calls = []
    real = linear.as_convolution
    monkeypatch.setattr(linear, "LEAST_WORK", 1)
    monkeypatch.setattr(linear, "convolution_is_faster", lambda threads: True)
    monkeypatch.setattr(linear, "as_convolution", lambda *given: calls.append(1) or real(*given))
    return calls


@pytest.mark.parametrize("shape", [(5,), (2, 3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_both_routes_give_the_same_values_and_gradients(taken, shape, bias):
    torch.manual_seed(0)
    layer, x = Linear(6, 11, bias=bias), torch.randn(*shape, 6, requires_grad=True)
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
    out = layer(x)
    assert taken == [1]
    assert out.shape == plain.shape
    assert torch.allclose(out, plain, atol=1e-6)
    inputs, weights = [x, *layer.parameters()], torch.randn(plain.shape)
    for one, other in zip(
        torch.autograd.grad((out * weights).sum(), inputs), torch.autograd.grad((plain * weights).sum(), inputs)
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_what_is_not_float32_work_of_a_cpu_goes_the_plain_way(taken, monkeypatch):
    layer, x = Linear(6, 11), torch.randn(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
    layer.double()(x.double())
    with FakeTensorMode():
        Linear(6, 11)(torch.randn(4, 6))
    monkeypatch.setattr(linear, "LEAST_WORK", 4 * 6 * 11 + 1)
    layer.float()(x)
    assert not taken


@pytest.mark.parametrize(("product", "convolution", "faster"), [(3.0, 2.0, True), (2.0, 2.0, False), (1.0, 2.0, False)])
def test_the_race_goes_to_the_clearly_faster(monkeypatch, product, convolution, faster):
    clock = [0.0]
    monkeypatch.setattr(linear.time, "perf_counter", lambda: clock[0])

    def taking(seconds):
        def run(*_):
            clock[0] += seconds

        return run

    monkeypatch.setattr(linear.F, "linear", taking(product))
    monkeypatch.setattr(linear, "as_convolution", taking(convolution))
    assert linear.convolution_is_faster.__wrapped__(1) is faster
