"""How the convolution of three planes is computed must not show."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.cpu.convolution import FastPlaneConv2d
from pvdm_lightning.models.triplane import RowLayout, TriplaneShape
from pvdm_lightning.models.unet.plane_layers import PlaneConv2d

SHAPES = [
    TriplaneShape(2, 4, 4),
    TriplaneShape(1, 1, 1),
    TriplaneShape(5, 3, 3),
    TriplaneShape(3, 5, 2),
    TriplaneShape(4, 1, 3),
]


def rows_of(layout, channels=32):
    rows = torch.randn(layout.batch * layout.shape.num_tokens, channels, generator=torch.Generator().manual_seed(0))
    return rows.requires_grad_()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", [FastPlaneConv2d.as_product, FastPlaneConv2d.with_winograd, PlaneConv2d.forward])
def test_each_way_is_three_convolutions(shape, way):
    """The values, and the gradients of the input, the kernel and the bias."""
    torch.manual_seed(0)
    conv, results = FastPlaneConv2d(32, 8), []
    layout = RowLayout(2, shape)
    for convolve in (way, lambda conv, images: [F.conv2d(x, conv.weight, conv.bias, padding=1) for x in images]):
        rows = rows_of(layout)
        convolved = layout.rows(convolve(conv, layout.images(rows)))
        assert convolved.shape == (len(rows), 8)
        gradients = torch.autograd.grad(convolved.square().sum(), [rows, *conv.parameters()])
        results.append([convolved, *gradients])
    for ours, apart in zip(*results, strict=True):
        assert torch.allclose(ours, apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "height", "width", "batch", "channels", "expected"),
    [
        (16, 32, 32, 1, 256, "with_winograd"),
        (8, 16, 16, 1, 512, "with_winograd"),
        (4, 8, 8, 1, 1024, "as_product"),
        (4, 8, 8, 2, 1024, "with_winograd"),
        (2, 4, 4, 4, 1024, "as_product"),
        (8, 16, 16, 1, 256, "with_winograd"),
        (8, 16, 16, 1, 128, "forward"),
        (16, 32, 32, 8, 64, "forward"),
        (8, 16, 8, 2, 512, "with_winograd"),
    ],
)
def test_which_way_is_taken(monkeypatch, frames, height, width, batch, channels, expected):
    """Of PVDM-L at 16 x 256 x 256, level by level; in larger batches; fewer channels; planes of unequal widths."""
    shape = TriplaneShape(frames, height, width)
    layout = RowLayout(batch, shape)
    assert taken(monkeypatch, layout, torch.zeros(batch * shape.num_tokens, channels)) == expected


def taken(monkeypatch, layout, rows):
    """The name of the way."""
    names, channels = [], rows.shape[1]
    conv = accelerate(PlaneConv2d(channels, channels))
    if rows.dtype != torch.float32:
        conv.to(rows.dtype)
    for cls, name in ((FastPlaneConv2d, "as_product"), (FastPlaneConv2d, "with_winograd"), (PlaneConv2d, "forward")):
        monkeypatch.setattr(cls, name, lambda self, images, name=name: names.append(name))
    conv(layout.images(rows))
    (name,) = names
    return name


def test_only_float32_takes_fewer_multiplications(monkeypatch):
    layout, size = RowLayout(1, TriplaneShape(8, 16, 16)), (512, 512)
    assert taken(monkeypatch, layout, torch.zeros(size, dtype=torch.float64)) == "forward"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert taken(monkeypatch, layout, torch.zeros(size)) == "forward"
    with FakeTensorMode():
        assert taken(monkeypatch, layout, torch.zeros(size)) == "forward"


def test_bfloat16_autocast():
    conv, layout = FastPlaneConv2d(32, 8), RowLayout(2, TriplaneShape(2, 4, 4))
    images = layout.images(rows_of(layout))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        product, apart = layout.rows(conv.as_product(images)), layout.rows(PlaneConv2d.forward(conv, images))
    assert product.dtype == apart.dtype == torch.bfloat16
    assert (product - apart).abs().max() <= 0.02  # two digits of bfloat16 at a size of 1
