"""How the convolution of three planes is computed must not show."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pvdm_lightning.models.triplane import Triplane, TriplaneShape
from pvdm_lightning.models.unet import plane_convolution
from pvdm_lightning.models.unet.plane_convolution import as_product, by_winograd, convolve_planes, on_each_plane

SHAPES = [
    TriplaneShape(2, 4, 4),
    TriplaneShape(1, 1, 1),
    TriplaneShape(5, 3, 3),
    TriplaneShape(3, 5, 2),
    TriplaneShape(4, 1, 3),
]


def planes_of(shape, batch=2, channels=32):
    sequence = torch.randn(batch, channels, shape.num_tokens, generator=torch.Generator().manual_seed(0))
    return sequence.requires_grad_()


@pytest.mark.parametrize(
    ("route", "shape"),
    [(route, shape) for route in (as_product, by_winograd, on_each_plane) for shape in SHAPES],
)
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


@pytest.mark.parametrize(
    ("frames", "height", "width", "batch", "channels", "expected"),
    [
        (16, 32, 32, 1, 256, "by_winograd"),
        (8, 16, 16, 1, 512, "by_winograd"),
        (4, 8, 8, 1, 1024, "as_product"),
        (4, 8, 8, 2, 1024, "by_winograd"),
        (2, 4, 4, 4, 1024, "as_product"),
        (8, 16, 16, 1, 256, "by_winograd"),
        (8, 16, 16, 1, 128, "on_each_plane"),
        (16, 32, 32, 8, 64, "on_each_plane"),
        (8, 16, 8, 2, 512, "by_winograd"),
    ],
)
def test_which_route_is_taken(monkeypatch, frames, height, width, batch, channels, expected):
    """Of PVDM-L at 16 x 256 x 256, level by level; in larger batches; fewer channels; planes of unequal widths."""
    shape = TriplaneShape(frames, height, width)
    assert taken(monkeypatch, shape, torch.zeros(batch, channels, shape.num_tokens)) == expected


def taken(monkeypatch, shape, sequence):
    """The name of the route."""
    names, channels = [], sequence.shape[1]
    conv = torch.nn.Conv2d(channels, channels, kernel_size=3, padding=1, dtype=sequence.dtype)
    for name in ("as_product", "by_winograd", "on_each_plane"):
        monkeypatch.setattr(plane_convolution, name, lambda conv, planes, name=name: names.append(name))
    convolve_planes(conv, Triplane.from_sequence(sequence, shape))
    (name,) = names
    return name


def test_only_float32_takes_fewer_multiplications(monkeypatch):
    shape, size = TriplaneShape(8, 16, 16), (1, 512, 512)
    assert taken(monkeypatch, shape, torch.zeros(size, dtype=torch.float64)) == "on_each_plane"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert taken(monkeypatch, shape, torch.zeros(size)) == "on_each_plane"
    with FakeTensorMode():
        assert taken(monkeypatch, shape, torch.zeros(size)) == "on_each_plane"


def test_bfloat16_autocast():
    conv, shape = torch.nn.Conv2d(32, 8, kernel_size=3, padding=1), TriplaneShape(2, 4, 4)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        product, apart = (
            route(conv, Triplane.from_sequence(planes_of(shape), shape)).to_sequence()
            for route in (as_product, on_each_plane)
        )
    assert product.dtype == apart.dtype == torch.bfloat16
    assert (product - apart).abs().max() <= 0.02  # two digits of bfloat16 at a size of 1
