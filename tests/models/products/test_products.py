"""Both routes of a product and of attention, and when the second is taken."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.models.products import Linear, PointwiseLinear, attend, attention, matrix, multiply_add, route


@pytest.fixture
def other_route(monkeypatch):
    """oneDNN is said to be better for work of any size; the calls that went through it."""
    taken = []
    real = route.through_onednn

    def counted():
        taken.append(1)
        return real()

    monkeypatch.setattr(matrix, "LEAST_WORK", 1)
    monkeypatch.setattr(attention, "LEAST_TOKENS", 1)
    monkeypatch.setattr(route, "onednn_is_better", lambda threads: True)
    for module in (matrix, attention):
        monkeypatch.setattr(module, "through_onednn", counted)
    return taken


def same_values_and_gradients(one, other, inputs):
    assert one.shape == other.shape
    assert torch.allclose(one, other, atol=1e-5)
    weights = torch.randn(other.shape)
    gradients = (torch.autograd.grad((out * weights).sum(), inputs) for out in (one, other))
    for ours, plain in zip(*gradients):
        assert torch.allclose(ours, plain, atol=1e-4)


# Where the processor multiplies bfloat16 in hardware oneDNN would round, and the route is not taken.
exact = pytest.mark.skipif(torch.cpu._is_amx_tile_supported(), reason="oneDNN rounds to bfloat16 on this processor")


def test_more_sequences_than_a_grid_has_blocks(monkeypatch):
    torch.manual_seed(0)
    inputs = [torch.randn(7, 2, 5, 4, requires_grad=True) for _ in range(3)]
    plain = F.scaled_dot_product_attention(*inputs)
    sizes, kernel = [], F.scaled_dot_product_attention
    monkeypatch.setattr(attention, "MOST_BLOCKS", 3)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: sizes.append(len(q)) or kernel(q, k, v))
    same_values_and_gradients(attend(*inputs), plain, inputs)
    assert sizes == [3, 3, 1]


def test_how_many_sequences_a_gpu_takes_together():
    def most(*shape):
        return attention.most_at_once(torch.empty(*shape, device="meta"))

    assert most(64 * 1024, 8, 16, 16) == 2**16 - 1
    assert most(64 * 1024, 8, 16, 64) == (2**31 - 1) // (8 * 128 * 64)  # 16 tokens count as 128
    assert most(4, 8, 1024, 8) == (2**31 - 1) // (8 * 1024 * 32)  # 8 channels as 32
    assert most(1, 8, 2**28, 64) == 1


@exact
@pytest.mark.parametrize("shape", [(5,), (2, 3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layer(other_route, shape, bias):
    torch.manual_seed(0)
    layer, x = Linear(6, 11, bias=bias), torch.randn(*shape, 6, requires_grad=True)
    out = layer(x)
    same_values_and_gradients(out, F.linear(x, layer.weight, layer.bias), [x, *layer.parameters()])
    assert len(other_route) == 3  # one forward, two backward


@exact
@pytest.mark.parametrize("bias_shape", [(5, 1), (1, 7), (7,)])
def test_product_with_bias(other_route, bias_shape):
    torch.manual_seed(0)
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((5, 6), (6, 7), bias_shape)]
    a, b, bias = inputs
    same_values_and_gradients(multiply_add(a, b, bias), torch.addmm(bias, a, b), inputs)
    assert other_route


@exact
@pytest.mark.parametrize("tokens", [4, 300])
def test_attention(other_route, tokens):
    torch.manual_seed(0)
    packed = torch.randn(2, tokens, 6, 3, 8, requires_grad=True)  # heads lie beside each other, as in the autoencoder
    q, k, v = (part.transpose(1, 2) for part in packed.unbind(3))
    same_values_and_gradients(attend(q, k, v), F.scaled_dot_product_attention(q, k, v), [packed])
    assert len(other_route) == 2


@exact
def test_recomputed_activations_give_the_same_gradients(other_route):
    torch.manual_seed(0)
    layer, x = Linear(6, 11), torch.randn(4, 6, requires_grad=True)
    recomputed = checkpoint(layer, x, use_reentrant=False)
    same_values_and_gradients(recomputed, layer(x), [x, *layer.parameters()])


@exact
@pytest.mark.parametrize("batch", [1, 3])
def test_layer_of_the_channels(other_route, batch):
    torch.manual_seed(0)
    layer, x = PointwiseLinear(6, 11), torch.randn(batch, 6, 4, 5, requires_grad=True)
    convolved = F.conv2d(x, layer.weight[:, :, None, None], layer.bias)
    same_values_and_gradients(layer(x), convolved, [x, *layer.parameters()])
    assert other_route


@exact
def test_compiled_the_route_is_the_same(other_route):
    """In one graph, forward and backward."""
    torch.manual_seed(0)
    layer, x = Linear(8, 24), torch.randn(2, 5, 8, requires_grad=True)

    def attended(x):
        return attend(*layer(x).unflatten(2, (2, 3, 4)).permute(3, 0, 2, 1, 4))

    compiled = torch.compile(attended, backend="aot_eager", fullgraph=True)(x)
    assert len(other_route) == 2
    same_values_and_gradients(compiled, attended(x), [x, *layer.parameters()])


def test_what_is_not_float32_work_of_a_cpu_goes_the_plain_way(other_route, monkeypatch):
    layer, x, q = Linear(6, 11), torch.randn(4, 6), torch.randn(1, 2, 4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
        attend(q, q, q)
    layer.double()(x.double())
    with FakeTensorMode():
        Linear(6, 11)(torch.randn(4, 6))
    monkeypatch.setattr(matrix, "LEAST_WORK", 4 * 6 * 11 + 1)
    monkeypatch.setattr(attention, "LEAST_TOKENS", 5)
    layer.float()(x)
    attend(q, q, q)
    assert not other_route


def test_the_setting_is_put_back_after_an_error():
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    with pytest.raises(RuntimeError), route.through_onednn():
        torch.randn(2, 3) @ torch.randn(2, 3)
    assert matmul.fp32_precision == before


@pytest.mark.parametrize(
    ("plain", "other", "rounds", "better"),
    [(3.0, 2.0, False, True), (2.0, 2.0, False, False), (1.0, 2.0, False, False), (3.0, 1.0, True, False)],
)
def test_the_race_goes_to_the_clearly_faster_and_equally_exact(monkeypatch, plain, other, rounds, better):
    """Time is a clock that the two routes advance; the other may round its operands to bfloat16."""
    clock, inside = [0.0], [False]
    real = torch.Tensor.__matmul__

    class Inside:
        def __enter__(self):
            inside[0] = True

        def __exit__(self, *_):
            inside[0] = False

    def multiply(a, b):
        clock[0] += other if inside[0] else plain
        if inside[0] and rounds:
            a, b = a.bfloat16().float(), b.bfloat16().float()
        return real(a, b)

    monkeypatch.setattr(route, "through_onednn", Inside)
    monkeypatch.setattr(route.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch.Tensor, "__matmul__", multiply)
    assert route.onednn_is_better.__wrapped__(1) is better
