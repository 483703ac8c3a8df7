"""How the convolution of three planes is computed must not show."""

import pytest
import torch

from pvdm_lightning.denoiser import plane_convolution
from pvdm_lightning.denoiser.plane_convolution import as_product, convolve_planes, few_positions, on_each_plane
from pvdm_lightning.triplane import Triplane, TriplaneShape

SHAPES = [TriplaneShape(2, 4, 4), TriplaneShape(3, 5, 2), TriplaneShape(1, 1, 1), TriplaneShape(4, 1, 3)]


def planes_of(shape, batch=2, channels=32):
    sequence = torch.randn(batch, channels, shape.num_tokens, generator=torch.Generator().manual_seed(0))
    return sequence.requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("route", [as_product, on_each_plane])
def test_each_route_is_three_convolutions(shape, route):
    """The values, and the gradients of the input, the kernel and the bias."""
    torch.manual_seed(0)
    conv, results = torch.nn.Conv2d(32, 8, kernel_size=3, padding=1), []
    for convolve in (route, lambda conv, planes: planes.map(conv)):
        sequence = planes_of(shape)
        convolved = convolve(conv, Triplane.from_sequence(sequence, shape))
        assert convolved.shape == shape
        gradients = torch.autograd.grad(convolved.to_sequence().square().sum(), [sequence, *conv.parameters()])
        results.append([convolved.to_sequence(), *gradients])
    for ours, apart in zip(*results, strict=True):
        assert torch.allclose(ours, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("frames", "side", "batch", "few"), [(4, 8, 2, True), (4, 8, 16, False), (16, 32, 1, False)])
def test_which_route_is_taken(monkeypatch, frames, side, batch, few):
    """Of PVDM-L at 16 x 256 x 256: the product at sides of 8 and 4, the convolution above, or in large batches."""
    shape, taken = TriplaneShape(frames, side, side), []
    planes = Triplane.from_sequence(torch.zeros(batch, 1024, shape.num_tokens), shape)
    assert few_positions(planes) == few
    monkeypatch.setattr(plane_convolution, "as_product", lambda conv, planes: taken.append("product"))
    monkeypatch.setattr(plane_convolution, "on_each_plane", lambda conv, planes: taken.append("convolution"))
    convolve_planes(torch.nn.Conv2d(1024, 1, kernel_size=3, padding=1), planes)
    assert taken == ["product" if few else "convolution"]


def test_bfloat16_autocast():
    conv, shape = torch.nn.Conv2d(32, 8, kernel_size=3, padding=1), TriplaneShape(2, 4, 4)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        product = as_product(conv, Triplane.from_sequence(planes_of(shape), shape)).to_sequence()
        apart = on_each_plane(conv, Triplane.from_sequence(planes_of(shape), shape)).to_sequence()
    assert product.dtype == apart.dtype == torch.bfloat16
    assert (product - apart).abs().max() <= 0.02  # two digits of bfloat16 at a size of 1
