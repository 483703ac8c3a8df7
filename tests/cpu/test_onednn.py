"""Products and attention through oneDNN beside the plain ones, and when oneDNN is taken."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.cpu import flash_attention, linear, onednn
from pvdm_lightning.cpu.flash_attention import FastAttention
from pvdm_lightning.cpu.linear import FastLinear, multiply_add

attend = FastAttention()


@pytest.fixture
def counted(monkeypatch):
    """oneDNN is taken for work of any size; the calls that went through it."""
    calls = []
    real = onednn.through_onednn

    def count():
        calls.append(1)
        return real()

    monkeypatch.setattr(linear, "MIN_WORK", 1)
    monkeypatch.setattr(flash_attention, "MIN_TOKENS", 1)
    monkeypatch.setattr(onednn, "uses_onednn", lambda: True)
    for module in (linear, flash_attention):
        monkeypatch.setattr(module, "through_onednn", count)
    return calls


def same_values_and_gradients(one, other, inputs):
    assert one.shape == other.shape
    assert torch.allclose(one, other, atol=1e-5)
    weights = torch.randn(other.shape)
    gradients = (torch.autograd.grad((out * weights).sum(), inputs) for out in (one, other))
    for ours, plain in zip(*gradients):
        assert torch.allclose(ours, plain, atol=1e-4)


# With AMX oneDNN would round to bfloat16, and is not used.
exact = pytest.mark.skipif(torch.cpu._is_amx_tile_supported(), reason="oneDNN rounds to bfloat16 on this processor")


@exact
@pytest.mark.parametrize("shape", [(5,), (2, 3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer(counted, shape, bias):
    torch.manual_seed(0)
    layer, x = FastLinear(6, 11, bias=bias), torch.randn(*shape, 6, requires_grad=True)
    out = layer(x)
    same_values_and_gradients(out, F.linear(x, layer.weight, layer.bias), [x, *layer.parameters()])
    assert len(counted) == 3  # one forward, two backward


@exact
@pytest.mark.parametrize("bias_shape", [(5, 1), (1, 7), (7,)])
def test_product_with_bias(counted, bias_shape):
    torch.manual_seed(0)
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((5, 6), (6, 7), bias_shape)]
    a, b, bias = inputs
    same_values_and_gradients(multiply_add(a, b, bias), torch.addmm(bias, a, b), inputs)
    assert counted


@exact
@pytest.mark.parametrize("tokens", [4, 300])
def test_attention(counted, tokens):
    torch.manual_seed(0)
    packed = torch.randn(2, tokens, 6, 3, 8, requires_grad=True)  # heads lie beside each other, as in the autoencoder
    q, k, v = (part.transpose(1, 2) for part in packed.unbind(3))
    same_values_and_gradients(attend(q, k, v), F.scaled_dot_product_attention(q, k, v), [packed])
    assert len(counted) == 2


@exact
def test_recomputed_activations_give_the_same_gradients(counted):
    torch.manual_seed(0)
    layer, x = FastLinear(6, 11), torch.randn(4, 6, requires_grad=True)
    recomputed = checkpoint(layer, x, use_reentrant=False)
    same_values_and_gradients(recomputed, layer(x), [x, *layer.parameters()])


@exact
def test_compiled_it_is_the_same(counted):
    """In one graph, forward and backward."""
    torch.manual_seed(0)
    layer, x = FastLinear(8, 24), torch.randn(2, 5, 8, requires_grad=True)

    def attended(x):
        return attend(*layer(x).unflatten(2, (2, 3, 4)).permute(3, 0, 2, 1, 4))

    compiled = torch.compile(attended, backend="aot_eager", fullgraph=True)(x)
    assert len(counted) == 2
    same_values_and_gradients(compiled, attended(x), [x, *layer.parameters()])


def test_what_is_not_float32_on_a_cpu_is_computed_as_usual(counted, monkeypatch):
    layer, x, q = FastLinear(6, 11), torch.randn(4, 6), torch.randn(1, 2, 4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
        attend(q, q, q)
    layer.double()(x.double())
    with FakeTensorMode():
        FastLinear(6, 11)(torch.randn(4, 6))
    monkeypatch.setattr(linear, "MIN_WORK", 4 * 6 * 11 + 1)
    monkeypatch.setattr(flash_attention, "MIN_TOKENS", 5)
    layer.float()(x)
    attend(q, q, q)
    assert not counted


def test_the_setting_is_put_back_after_an_error():
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    with pytest.raises(RuntimeError), onednn.through_onednn():
        torch.randn(2, 3) @ torch.randn(2, 3)
    assert matmul.fp32_precision == before
