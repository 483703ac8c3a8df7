"""The order in which kernels of attention are tried, by GPU."""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend

from pvdm_lightning.gpu import attention
from pvdm_lightning.gpu.attention import GpuAttention, preferred_backends
from pvdm_lightning.models.attention import ScaledDotProductAttention

CUDNN, FLASH, EFFICIENT, MATH = (
    getattr(SDPBackend, f"{name}_ATTENTION" if name != "MATH" else name)
    for name in ("CUDNN", "FLASH", "EFFICIENT", "MATH")
)
HALF, WHOLE = torch.bfloat16, torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype", "head_width", "first"),
    [
        ((9, 0), HALF, 64, CUDNN),  # H100, H200
        ((9, 0), torch.float16, 128, CUDNN),
        ((10, 0), HALF, 32, CUDNN),  # B200
        ((10, 3), HALF, 128, CUDNN),
        ((9, 0), HALF, 256, FLASH),
        ((8, 0), HALF, 64, FLASH),  # A100
        ((8, 9), HALF, 64, FLASH),
        ((7, 5), HALF, 64, FLASH),
        ((12, 0), HALF, 64, FLASH),  # RTX PRO 6000
        ((9, 0), WHOLE, 64, None),
        ((8, 0), torch.float64, 64, None),
    ],
)
def test_the_kernel_follows_from_the_gpu_and_the_inputs(capability, dtype, head_width, first):
    order = preferred_backends(capability, dtype, head_width)
    assert order[:1] == ([] if first is None else [first])
    assert not order or set(order) == {CUDNN, FLASH, EFFICIENT, MATH}  # whatever cannot is passed over


@pytest.fixture
def hopper(monkeypatch):
    """The order on an H200, for tensors that are here."""
    monkeypatch.setattr(attention, "DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))


def priority():
    return torch._C._get_sdp_priority_order()


def test_the_order_holds_inside_alone_and_results_stay(hopper, monkeypatch):
    before, inside, compute = priority(), [], F.scaled_dot_product_attention

    def noting(*inputs):
        inside.append(priority()[0])
        return compute(*inputs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noting)
    wide = torch.randn(3, 2, 4, 10, 16)
    for q, k, v in (wide, wide.bfloat16()):
        assert torch.equal(GpuAttention()(q, k, v), ScaledDotProductAttention()(q, k, v))
    with torch.autocast("cpu", torch.bfloat16):
        GpuAttention()(*wide)
    assert inside[0] == before[0] and inside[2] == inside[4] == CUDNN.value
    assert priority() == before


def test_gradients_and_compilation_pass_through(hopper):
    inputs = torch.randn(3, 2, 4, 10, 16, dtype=HALF).requires_grad_()
    eager = GpuAttention()(*inputs)
    compiled = torch.compile(GpuAttention(), fullgraph=True, backend="aot_eager")(*inputs)
    assert torch.equal(eager, compiled)
    of_eager, of_compiled = (torch.autograd.grad(result.float().sum(), inputs)[0] for result in (eager, compiled))
    assert torch.allclose(of_eager.float(), of_compiled.float(), atol=1e-2)
