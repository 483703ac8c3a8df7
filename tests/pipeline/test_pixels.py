import torch

from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8, truncated_pixels


def test_pixels_are_rounded_or_truncated():
    pixels = torch.arange(256, dtype=torch.uint8)
    floats = to_signed_float(pixels)
    assert torch.equal(to_uint8(floats), pixels)
    between = torch.linspace(-1.2, 1.2, 1001)
    exact = ((between + 1) * 127.5).clamp(0, 255)
    with truncated_pixels():
        assert torch.equal(to_uint8(between), exact.floor().to(torch.uint8))
    with truncated_pixels(False):
        assert torch.equal(to_uint8(between), exact.round().to(torch.uint8))
    assert torch.equal(to_uint8(between), exact.round().to(torch.uint8))
