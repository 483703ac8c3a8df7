import torch

from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8, truncated_pixels


def test_pixels_survive_the_way_in_and_out():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_signed_float(pixels)), pixels)
    assert to_signed_float(pixels).min() == -1
    assert to_signed_float(pixels).max() == 1
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_pixels_are_rounded_or_truncated():
    between = torch.linspace(-1.2, 1.2, 1001)
    exact = ((between + 1) * 127.5).clamp(0, 255)
    with truncated_pixels():
        assert torch.equal(to_uint8(between), exact.floor().to(torch.uint8))
    with truncated_pixels(False):
        assert torch.equal(to_uint8(between), exact.round().to(torch.uint8))
    assert torch.equal(to_uint8(between), exact.round().to(torch.uint8))
