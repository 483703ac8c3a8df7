"""The kernels of group norm in Triton's interpreter, against their definition; `test_group_norm_kernel.py` runs it.

The interpreter has to be chosen before Triton is imported, so this is a process of its own.
"""

import os

import pytest
import torch

from pvdm_lightning.gpu import group_norm as module
from pvdm_lightning.gpu import group_norm_kernel as kernel
from pvdm_lightning.gpu.group_norm import (
    Norm,
    group_norm,
    group_norm_rows,
    plain_backward,
    plain_forward,
)

EPS = 1e-5
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}
"""Of the largest value: one rounding of the result, which may fall either way."""
CASES = {
    "z_h and z_w as one image": ([(2, 24), (4, 9)], 32, 4, 2, True, torch.bfloat16),
    "three images of odd sizes": ([(2, 35), (4, 15), (2, 21)], 15, 5, 2, True, torch.float32),
    "tokens without scale, shift and SiLU": ([(2, 47)], 48, 2, None, False, torch.bfloat16),
    "one channel per group": ([(1, 30), (2, 9)], 20, 20, 1, True, torch.float32),
    "SiLU without scale and shift": ([(1, 70), (1, 33)], 32, 4, None, True, torch.float32),
    "wide groups": ([(2, 4)], 520, 2, 2, False, torch.float32),
    "half precision": ([(2, 20), (4, 9)], 16, 4, 2, True, torch.float16, torch.float16),
    "more positions than a tile has": ([(1, 300)], 40, 5, 1, True, torch.float32),
}
"""Samples and positions of each image, channels, groups, rows of scale and shift, SiLU, dtypes of images and norm."""


def setup_module():
    assert os.environ["TRITON_INTERPRET"] == "1"
    assert type(kernel._forward_kernel).__name__ == "InterpretedFunction"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Several tiles a program, as large images have them."""
    monkeypatch.setattr(kernel, "TILE", 512)


def case(sizes, channels, groups, batch, silu, dtype, norm_dtype=torch.float32):
    torch.manual_seed(0)
    images = [(2 * torch.randn(*size, channels) + 1).to(dtype) for size in sizes]
    weight, bias = torch.randn(2, channels, dtype=norm_dtype)
    scale, shift = (None, None)
    if batch is not None:
        scale, shift = torch.randn(batch, 2 * channels, dtype=norm_dtype).chunk(2, dim=1)  # rows 2 C apart
    return images, Norm(weight, bias, groups, EPS, scale, shift, silu)


def run(forward, images, norm):
    """Result and statistics."""
    out = [torch.full_like(image, torch.nan) for image in images]
    return out, forward(images, norm, out)


def run_backward(backward, grads, statistics, images, norm):
    """Gradients of the images, and those of weight, bias, scale and shift."""
    out = [torch.full_like(image, torch.nan) for image in images]
    return out, backward(grads, statistics, images, norm, out, True)


def compare(images, norm, tolerance):
    out, statistics = run(kernel.forward, images, norm)
    expected, expected_statistics = run(plain_forward, images, norm)
    close(statistics, expected_statistics, 1e-5)
    for one, other in zip(out, expected):
        close(one, other, tolerance)
    grads = [torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype) for x in out]
    ours, of_norm = run_backward(kernel.backward, grads, statistics, images, norm)
    theirs, of_their_norm = run_backward(plain_backward, grads, statistics, images, norm)
    for one, other in zip(ours, theirs):
        close(one, other, tolerance)
    assert len(of_norm) == len(of_their_norm) == (2 if norm.scale is None else 4)
    for name, one, other in zip(("weight", "bias", "scale", "shift"), of_norm, of_their_norm):
        close(one, other, tolerance, name)


def close(one, other, tolerance, name=""):
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    error = (one.double() - other.double()).abs().max() / other.double().abs().max()
    assert error <= tolerance, (name, error)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_backward(name):
    images, norm = case(*CASES[name])
    compare(images, norm, TOLERANCE[images[0].dtype])


@pytest.mark.parametrize(("positions", "first"), [(256, 1e4), (256, 0.0), (5, 1e4)])
def test_statistics_of_a_large_mean(positions, first):
    """A std of 1 around 1e4 is lost in a mean of squares; the first half may be unlike the rest."""
    torch.manual_seed(0)
    image = torch.randn(2, positions, 8) + 1e4
    image[:, : positions // 2] += first - 1e4
    norm = Norm(torch.ones(8), torch.zeros(8), 2, EPS, None, None, False)
    statistics = run(kernel.forward, [image], norm)[1]
    exact = run(plain_forward, [image.double()], norm)[1]
    assert ((statistics - exact) / exact).abs().max() < 1e-5


def test_only_what_is_asked_for():
    images, norm = case([(2, 20)], 16, 4, 2, True, torch.float32)
    out, statistics = run(kernel.forward, images, norm)
    (of_image,), of_norm = run_backward(kernel.backward, out, statistics, images, norm)
    result = torch.full_like(images[0], torch.nan)
    assert kernel.backward(out, statistics, images, norm, [result], False) == []
    assert torch.equal(result, of_image)
    alone = kernel.backward(out, statistics, images, norm, None, True)
    assert all(torch.equal(*pair) for pair in zip(alone, of_norm, strict=True))


@pytest.mark.parametrize("function", [group_norm, group_norm_rows])
def test_the_operator_on_the_kernels(function, monkeypatch):
    """Views of one buffer, a gradient that is a view, and autograd around them."""
    images, norm = case([(2, 12), (4, 6)], 16, 4, 2, True, torch.float32)
    buffer = torch.cat([image.flatten(0, 1) for image in images])

    def gradients():
        leaves = [x.detach().requires_grad_() for x in (buffer, norm.weight, norm.bias, norm.scale, norm.shift)]
        rows, weight, bias, scale, shift = leaves
        rest = (weight, bias, norm.groups, EPS, scale, shift, True)
        if function is group_norm_rows:
            out = group_norm_rows(rows, [(2, 12), (4, 6)], *rest)
        else:
            parts = rows[:24].view(2, 3, 4, 16), rows[24:].view(4, 3, 2, 16)
            out = function([part.permute(0, 3, 1, 2) for part in parts], *rest)
            out = torch.cat([image.permute(0, 2, 3, 1).flatten(0, 2) for image in out])
        return [out, *torch.autograd.grad((out.T * torch.arange(48.0)).sum(), leaves)]

    plain = gradients()
    monkeypatch.setattr(module, "_kernel", lambda x: kernel)
    for one, other in zip(gradients(), plain, strict=True):
        close(one, other, TOLERANCE[torch.float32])
