import numpy as np
import pytest
import torch

from pvdm_lightning.data.clips.transforms import centre_crop_box, crop_and_resize


@pytest.mark.parametrize("size", [(240, 320), (320, 240), (243, 321), (1, 1), (2, 300), (64, 64)])
@pytest.mark.parametrize("resolution", [(64, 64), (32, 96), (96, 32), (256, 256)])
def test_the_box_is_centred_and_has_the_wanted_aspect(size, resolution):
    top, left, height, width = centre_crop_box(*size, resolution)
    assert 1 <= height <= size[0] and 1 <= width <= size[1]
    assert abs((size[0] - height) - 2 * top) <= 1 and abs((size[1] - width) - 2 * left) <= 1
    assert height == size[0] or width == size[1], "the largest box touches two edges"
    assert abs(height * resolution[1] - width * resolution[0]) <= max(resolution), "off by less than a pixel"


def test_a_picture_of_the_wanted_size_stays_as_it_is():
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert torch.equal(crop_and_resize(frame, (32, 48)), torch.from_numpy(frame).permute(2, 0, 1))


def test_shrinking_averages_what_point_sampling_would_alias():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = crop_and_resize(stripes, (32, 32))
    assert shrunk.dtype == torch.uint8 and shrunk.shape == (3, 32, 32)
    assert (shrunk[:, 2:-2, 2:-2].int() - 127).abs().max() <= 2


def test_the_sides_are_cropped_and_not_squeezed():
    frame = np.zeros((40, 80, 3), np.uint8)
    frame[:, 20:60] = 200
    assert (crop_and_resize(frame, (16, 16)) == 200).all()


def test_channels_stay_apart():
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[:] = (10, 120, 250)
    assert crop_and_resize(frame, (8, 8))[:, 3, 3].tolist() == [10, 120, 250]
