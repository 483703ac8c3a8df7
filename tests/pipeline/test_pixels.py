import torch

from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8


def test_pixels_survive_the_way_in_and_out():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_signed_float(pixels)), pixels)
    assert to_signed_float(pixels).min() == -1
    assert to_signed_float(pixels).max() == 1
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
