"""Group norm with scale, shift and SiLU as one operator: values, gradients, dtypes, and what tracers see of it."""

import ast
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.gpu import availability
from pvdm_lightning.gpu import group_norm as module
from pvdm_lightning.gpu.group_norm import group_norm, group_norm_parts, group_norm_rows

EPS = 1e-5
SIZES = [(2, 3, 5), (4, 2, 3)]
"""Samples, rows and columns of two images; scale and shift have two rows."""


def image(samples, channels, rows, columns, **options):
    """In channels-last memory."""
    return torch.randn(samples, rows, columns, channels, **options).permute(0, 3, 1, 2)


def tensors(sizes=SIZES, channels=12, dtype=torch.float32, norm_dtype=None, modulate=True):
    """Images, weight, bias, scale and shift; the latter two as halves of one tensor."""
    norm_dtype = norm_dtype or dtype
    images = [image(samples, channels, *sides, dtype=dtype) for samples, *sides in sizes]
    weight, bias = torch.randn(2, channels, dtype=norm_dtype)
    both = torch.randn(math.gcd(*(size[0] for size in sizes)), 2 * channels, dtype=norm_dtype).chunk(2, dim=1)
    scale, shift = both if modulate else (None, None)
    return images, weight, bias, scale, shift


def normalized_rows(images, *norm, **options):
    return torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in group_norm(images, *norm, **options)])


def composed(images, weight, bias, groups, eps, scale, shift, silu):
    """What the operator stands for, in PyTorch's own operations."""
    out = []
    for x in images:
        x = F.group_norm(x, groups, weight, bias, eps)
        if scale is not None:
            rows = torch.arange(len(x)) % len(scale)
            x = x * (1 + scale[rows, :, None, None]) + shift[rows, :, None, None]
        out.append((F.silu(x) if silu else x).permute(0, 2, 3, 1).flatten(0, 2))
    return torch.cat(out)


def gradients(function, images, weight, bias, groups, scale, shift, silu):
    """The result, and the gradients of images, weight, bias, scale and shift."""
    leaves = [x.detach().requires_grad_() for x in (*images, weight, bias, scale, shift) if x is not None]
    norm = leaves[len(images) :] + [None] * (2 * (scale is None))
    out = function(leaves[: len(images)], *norm[:2], groups, EPS, *norm[2:], silu)
    draws = torch.Generator().manual_seed(1)
    return out, torch.autograd.grad(out, leaves, torch.randn(out.shape, generator=draws).to(out.dtype))


@settings(max_examples=40, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4, 32]),
    group=st.sampled_from([1, 2, 3, 8]),
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 7)), min_size=1, max_size=3),
    batch=st.integers(1, 2),
    modulate=st.booleans(),
    silu=st.booleans(),
    mean=st.sampled_from([0.0, 1.0, 300.0]),
)
def test_values_and_gradients_are_those_of_the_composition(groups, group, sizes, batch, modulate, silu, mean):
    torch.manual_seed(0)
    sizes = [(batch * samples, *sides) for samples, *sides in sizes]
    images, *norm = tensors(sizes, groups * group, torch.float64, modulate=modulate)
    images = [x + mean for x in images]
    (ours, of_ours), (theirs, of_theirs) = (
        gradients(function, images, *norm[:2], groups, *norm[2:], silu) for function in (normalized_rows, composed)
    )
    assert torch.allclose(ours, theirs, atol=1e-8)
    for one, other in zip(of_ours, of_theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("modulate", [False, True])
def test_gradients_are_those_of_finite_differences(silu, modulate):
    torch.manual_seed(0)
    images, *norm = tensors([(2, 2, 3), (4, 1, 2)], 6, torch.float64, modulate=modulate)
    leaves = [x.detach().requires_grad_() for x in (*images, *norm) if x is not None]

    def function(one, other, weight, bias, scale=None, shift=None):
        return normalized_rows([one, other], weight, bias, 3, EPS, scale, shift, silu)

    assert torch.autograd.gradcheck(function, leaves)


@pytest.mark.parametrize("needed", range(5))
def test_the_gradient_of_one_input_alone(needed):
    images, *norm = tensors()
    inputs = [torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in images]), *norm]
    sizes = [(samples, rows * columns) for samples, rows, columns in SIZES]

    def gradient(which):
        leaves = [x.detach().requires_grad_(i in which) for i, x in enumerate(inputs)]
        rows, weight, bias, scale, shift = leaves
        out = group_norm_rows(rows, sizes, weight, bias, 4, EPS, scale, shift, silu=True)
        return torch.autograd.grad(out.square().sum(), [leaves[i] for i in which])

    assert torch.equal(gradient([needed])[0], gradient(range(5))[needed])


def test_a_token_tensor_and_one_buffer_are_images_too():
    images, *norm = tensors(modulate=False)
    tokens = [x.flatten(2).transpose(1, 2).contiguous() for x in images]  # [B' N C]
    expected = composed(images, *norm[:2], 4, EPS, None, None, True)
    as_views = normalized_rows([x.transpose(1, 2).unsqueeze(3) for x in tokens], *norm[:2], 4, EPS, silu=True)
    buffer = torch.cat([x.flatten(0, 1) for x in tokens])
    as_buffer = group_norm_rows(buffer, [x.shape[:2] for x in tokens], *norm[:2], 4, EPS, silu=True)
    assert torch.allclose(as_views, expected, atol=1e-6)
    assert torch.equal(as_buffer, as_views)
    parts = group_norm_parts(buffer, [x.shape[:2] for x in tokens], *norm[:2], 4, EPS, silu=True)
    assert [len(part) for part in parts] == [30, 24] and torch.equal(torch.cat(parts), as_views)


def test_images_in_another_memory_format():
    images, *norm = tensors()
    last = normalized_rows(images, *norm[:2], 4, EPS, *norm[2:])
    assert torch.equal(normalized_rows([x.contiguous() for x in images], *norm[:2], 4, EPS, *norm[2:]), last)


def test_images_as_the_result():
    """The same values and gradients, also where only one of the images is used."""
    images, *norm = tensors()
    images = [x.requires_grad_() for x in images]
    rows = normalized_rows(images, *norm[:2], 4, EPS, *norm[2:], silu=True)
    out = group_norm(images, *norm[:2], 4, EPS, *norm[2:], silu=True)
    assert [x.shape for x in out] == [x.shape for x in images]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in out)
    assert torch.equal(torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in out]), rows)
    (expected,) = torch.autograd.grad(rows[30:].square().sum(), images[1:], retain_graph=True)
    unused, used = torch.autograd.grad(out[1].square().sum(), images)
    assert torch.equal(used, expected) and not unused.any()


@pytest.mark.parametrize("norm_dtype", [torch.float32, torch.bfloat16])
def test_no_float32_activation_under_bfloat16(norm_dtype):
    """Neither returned, nor kept for the backward pass, nor as a gradient; the values are those of float32."""
    torch.manual_seed(0)
    images, *norm = tensors([(2, 8, 8), (4, 4, 8)], 64, torch.bfloat16, norm_dtype)
    leaves = [x.detach().requires_grad_() for x in (*images, *norm)]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        out = normalized_rows(leaves[:2], *leaves[2:4], 4, EPS, *leaves[4:], silu=True)
    assert out.dtype == torch.bfloat16
    assert all(x.dtype == torch.bfloat16 for x in kept if x.numel() >= images[0].numel())
    assert sum(x.numel() for x in kept if x.dtype == torch.float32) < images[0].numel() / 8
    grads = torch.autograd.grad(out.float().square().sum(), leaves)
    assert [grad.dtype for grad in grads] == [leaf.dtype for leaf in leaves]
    exact = composed([x.float() for x in images], *(x.float() for x in norm[:2]), 4, EPS, *norm[2:], True)
    assert torch.equal(out, exact.bfloat16()) or (out - exact).abs().max() <= 2**-8 * exact.abs().max()


def test_the_same_inputs_give_the_same_bits():
    images, *norm = tensors()
    one, other = (gradients(normalized_rows, images, *norm[:2], 4, *norm[2:], True) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert all(torch.equal(*pair) for pair in zip(one[1], other[1], strict=True))


@pytest.mark.parametrize("modulate", [False, True])
def test_registration(modulate):
    """Schema, fake tensors, autograd and ahead-of-time dispatch, as PyTorch checks them."""
    images, *norm = tensors(modulate=modulate)
    rows = [x.permute(0, 2, 3, 1).flatten(0, 2).requires_grad_() for x in images]
    weight, bias, scale, shift = (None if x is None else x.detach().requires_grad_() for x in norm)
    sizes = [samples for samples, *_ in SIZES], [rows * columns for _, rows, columns in SIZES]
    rest = (weight, bias, 4, EPS, scale, shift, True)
    for joined in (True, False):
        torch.library.opcheck(module._group_norm, (rows, *sizes, joined, *rest))
    with torch.no_grad():
        statistics, *out = module._group_norm(rows, *sizes, False, *rest)
    rows = [x.detach() for x in rows]
    rest = [x.detach() if isinstance(x, torch.Tensor) else x for x in rest]
    for wanted in ((True, True), (False, True), (True, False)):
        torch.library.opcheck(module._group_norm_backward, (out, statistics, *wanted, rows, *sizes, *rest))


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(4, 12)

    def forward(self, one, other, scale, shift):
        return normalized_rows([one, other], self.norm.weight, self.norm.bias, 4, EPS, scale, shift, silu=True)


def test_export_with_any_batch():
    images, _, _, scale, shift = tensors()
    batch = torch.export.Dim("batch", min=2, max=16)
    shapes = ({0: batch}, {0: 2 * batch}, {0: batch}, {0: batch})
    network = Norm()
    exported = torch.export.export(network, (*images, scale, shift), dynamic_shapes=shapes)
    calls = [node for node in exported.graph.nodes if str(node.target).startswith("pvdm_lightning")]
    assert len(calls) == 1
    images, _, _, scale, shift = tensors([(3, 3, 5), (6, 2, 3)])
    assert torch.equal(exported.module()(*images, scale, shift), network(*images, scale, shift))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_as_one_graph(dynamic):
    images, _, _, scale, shift = tensors()
    network = Norm()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    leaves = [x.detach().requires_grad_() for x in (*images, scale, shift)]
    plain, traced = (
        torch.autograd.grad(call(*leaves).square().sum(), [*leaves, *network.parameters()])
        for call in (network, compiled)
    )
    assert all(torch.equal(*pair) for pair in zip(plain, traced, strict=True))


def test_recomputed_in_a_checkpoint():
    images, _, _, scale, shift = tensors()
    network = Norm()
    leaves = [x.detach().requires_grad_() for x in (*images, scale, shift)]
    plain, again = (
        torch.autograd.grad(out.square().sum(), [*leaves, *network.parameters()])
        for out in (network(*leaves), checkpoint(network, *leaves, use_reentrant=False))
    )
    assert all(torch.equal(*pair) for pair in zip(plain, again, strict=True))


class Operations(TorchDispatchMode):
    """Names of the operations that make new tensors."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.is_view:
            self.names.append(str(func).removesuffix(".default"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("function", [group_norm, group_norm_rows, group_norm_parts])
def test_one_operation_each_way_and_no_copy(function):
    """On the meta device, as the operations of a whole network are counted."""
    from_rows = function in (group_norm_rows, group_norm_parts)
    with torch.device("meta"):
        images, *norm = tensors(dtype=torch.bfloat16, norm_dtype=torch.float32)
        buffer = torch.randn(2 * 15 + 4 * 6, 12, dtype=torch.bfloat16)
    leaves = [x.detach().requires_grad_() for x in ([buffer] if from_rows else images)]
    given = (leaves[0], [(2, 15), (4, 6)]) if from_rows else (leaves,)
    with Operations() as forward:
        out = function(*given, *norm[:2], 4, EPS, *norm[2:], silu=True)
    assert forward.names == ["pvdm_lightning.group_norm"]
    upstream = [torch.empty_like(x) for x in (out if isinstance(out, list) else [out])]
    with Operations() as backward:
        grads = torch.autograd.grad(out, leaves, upstream)
    assert backward.names == ["pvdm_lightning.group_norm_backward"]
    for x, grad in zip(leaves, grads, strict=True):
        assert (grad.shape, grad.dtype, grad.stride()) == (x.shape, torch.bfloat16, x.stride())


def kernel_for(is_cuda, dtype):
    return module._kernel(SimpleNamespace(is_cuda=is_cuda, dtype=dtype, device=torch.device("cuda", 0)))


@pytest.fixture
def gpu(monkeypatch):
    """As if there were one that Triton supports."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    availability._runs_triton.cache_clear()
    yield
    availability._runs_triton.cache_clear()


def test_kernels_are_for_cuda_and_less_than_float64(gpu, monkeypatch):
    driver = pytest.importorskip("triton.runtime", reason="PyTorch without CUDA comes without Triton").driver
    monkeypatch.setattr(driver, "_active", SimpleNamespace(get_current_target=lambda: None))
    assert kernel_for(True, torch.bfloat16).__name__ == "pvdm_lightning.gpu.group_norm_kernel"
    assert kernel_for(True, torch.float64) is None
    assert kernel_for(False, torch.bfloat16) is None
    availability._runs_triton.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert kernel_for(True, torch.bfloat16) is None


def test_without_triton(gpu, monkeypatch):
    monkeypatch.setattr(availability.importlib.util, "find_spec", lambda name: None)
    assert kernel_for(True, torch.bfloat16) is None


def test_triton_without_a_compiler(gpu, monkeypatch, caplog):
    """One warning, and the plain code."""
    driver = pytest.importorskip("triton.runtime", reason="PyTorch without CUDA comes without Triton").driver

    def fail():
        raise RuntimeError("Failed to find C compiler.")

    monkeypatch.setattr(driver, "_active", SimpleNamespace(get_current_target=fail))
    assert [kernel_for(True, torch.bfloat16) for _ in range(3)] == [None] * 3
    (message,) = caplog.messages
    assert "gcc" in message and message.endswith("Failed to find C compiler.")


def test_the_operator_is_imported_without_triton():
    tree = ast.parse(Path(module.__file__).read_text())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in imports if isinstance(node, ast.ImportFrom)]
    assert not any("triton" in name or "kernel" in name for name in names)
