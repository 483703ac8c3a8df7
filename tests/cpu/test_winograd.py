"""Convolution by fewer multiplications: exact but for rounding, which is held here."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pvdm_lightning.cpu import winograd
from pvdm_lightning.cpu.winograd import convolve

TILES = [2, 4]


@pytest.fixture(params=TILES)
def tile(request, monkeypatch):
    monkeypatch.setattr(winograd, "LARGE_TILE_FROM", 0 if request.param == 4 else 10**9)
    return request.param


def layer(inputs, outputs, heights, width, batch=2):
    """x, weight and bias of a size that keeps values near 1, and what the gradients are taken with."""
    torch.manual_seed(0)
    x, weight = (
        torch.randn(batch, inputs, sum(heights), width),
        torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5,
    )
    bias, grad = torch.randn(outputs), torch.randn(batch, outputs, sum(heights), width)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), grad


def convolve_stack(x, heights, weight, bias):
    """Images of `heights` below each other, convolved each for itself."""
    return torch.cat(convolve(list(x.split(heights, dim=2)), weight, bias), dim=2)


def directly(x, heights, weight, bias):
    return torch.cat([F.conv2d(image, weight, bias, padding=1) for image in x.split(heights, dim=2)], dim=2)


@pytest.mark.parametrize("one", TILES)
def test_one_dimension_is_exact_in_float64(one):
    """A row of outputs from a row of inputs, for every input and kernel of ones."""
    kernel, analysis, synthesis = winograd._one_dimension(one)
    for k, i in np.ndindex(3, one + 2):
        sums = (kernel @ np.eye(3)[k]) * (analysis @ np.eye(one + 2)[i])
        expected = [float(i == output + k) for output in range(one)]
        assert np.abs(sums @ synthesis - expected).max() < 1e-14


@pytest.mark.parametrize(
    ("heights", "width"), [([32, 16, 16], 32), ([4, 2, 2], 4), ([3, 5, 5], 3), ([1, 1, 1], 1), ([9], 7)]
)
def test_images_are_convolved_each_with_zeros_around_it(tile, heights, width):
    """Odd sizes and any number of images; the values and all gradients."""
    x, weight, bias, grad = layer(16, 24, heights, width)
    ours, plain = convolve_stack(x, heights, weight, bias), directly(x, heights, weight, bias)
    assert ours.shape == plain.shape
    assert torch.allclose(ours, plain, atol=5e-5)
    gradients = (torch.autograd.grad((out * grad).sum(), [x, weight, bias]) for out in (ours, plain))
    for own, other in zip(*gradients, strict=True):
        assert torch.allclose(own, other, atol=5e-5 * float(other.std().clamp(min=1)))


@pytest.mark.parametrize("direction", ["values", "input", "kernel"])
def test_rounding_stays_within_what_the_documentation_says(tile, direction):
    """Root mean square beside float64, of a wide layer, in units of float32's rounding of one number."""
    heights = [32, 16, 16]
    x, weight, bias, grad = layer(256, 256, heights, 32, batch=1)

    def result(convolve, *tensors):
        out = convolve(tensors[0], heights, *tensors[1:])
        if direction == "values":
            return out.detach()
        return torch.autograd.grad((out * grad.to(out)).sum(), tensors[0 if direction == "input" else 1])[0]

    exact = result(directly, *(tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)))
    error = (result(convolve_stack, x, weight, bias) - exact).square().mean().sqrt() / exact.std()
    assert error < (8 if tile == 2 else 24) * torch.finfo(torch.float32).eps


def test_compiled_in_one_graph_and_recomputed_it_is_the_same():
    x, weight, bias, grad = layer(16, 24, [4, 2, 2], 4)

    def convolve(x, weight, bias):
        return convolve_stack(x, [4, 2, 2], weight, bias)

    plain = convolve(x, weight, bias)
    expected = torch.autograd.grad((plain * grad).sum(), [x, weight, bias])
    compiled = torch.compile(convolve, backend="aot_eager", fullgraph=True)
    for other in (compiled, lambda *tensors: checkpoint(convolve, *tensors, use_reentrant=False)):
        out = other(x, weight, bias)
        torch.testing.assert_close(out, plain)
        for one, two in zip(torch.autograd.grad((out * grad).sum(), [x, weight, bias]), expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-4)
