import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pvdm_lightning.data.clips.transforms import FramePreparation, centre_crop_box, crop_and_resize, prepared
from pvdm_lightning.errors import InvalidArgumentError


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


PICTURE = np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype=np.uint8)
SIZE = (20, 20)
BOX = (slice(None), slice(6, 54))  # the largest centred square


def prepare(**options):
    with prepared(FramePreparation(**options)):
        return crop_and_resize(PICTURE, SIZE)


def resized(mode, antialias, box=BOX):
    """By torch, in float32 [3, H, W]."""
    picture = torch.from_numpy(PICTURE[box]).permute(2, 0, 1)[None].float()
    return F.interpolate(picture, size=SIZE, mode=mode, antialias=antialias, align_corners=False)[0]


def test_the_default_preparation_changes_nothing():
    usual = crop_and_resize(PICTURE, SIZE)
    assert torch.equal(prepare(), usual)
    assert torch.equal(crop_and_resize(PICTURE, SIZE), usual)
    exact = resized("bilinear", True)
    assert (usual - exact).abs().max() <= 1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("crop", ["centre", "none"])
def test_each_filter_is_rounded_as_asked(mode, antialias, crop):
    expected = resized(mode, antialias, BOX if crop == "centre" else (slice(None),)).clamp(0, 255)
    how = {"filter": mode, "antialias": antialias, "crop": crop}
    floats = prepare(**how, rounding="none")
    assert floats.dtype == torch.float32 and torch.equal(floats, expected)
    assert torch.equal(prepare(**how, rounding="truncate"), expected.floor().to(torch.uint8))
    rounded = prepare(**how)
    assert rounded.dtype == torch.uint8 and (rounded - expected).abs().max() <= 0.5 + (antialias and mode == "bilinear")


def test_lanczos_is_pillows():
    square = Image.fromarray(PICTURE[BOX])
    expected = torch.from_numpy(np.array(square.resize(SIZE, Image.Resampling.LANCZOS))).permute(2, 0, 1)
    assert torch.equal(prepare(filter="lanczos"), expected)
    floats = prepare(filter="lanczos", rounding="none")
    assert floats.dtype == torch.float32 and floats.min() >= 0 and floats.max() <= 255
    assert (floats - expected).abs().max() <= 1.5  # Pillow rounds uint8 after each axis
    assert torch.equal(prepare(filter="lanczos", rounding="truncate"), floats.to(torch.uint8))


def test_settings_that_exclude_each_other():
    for options, argument in (
        ({"filter": "lanczos", "antialias": False}, "antialias"),
        ({"rounding": "none", "codec": "jpeg75"}, "rounding"),
    ):
        with pytest.raises(InvalidArgumentError, match=rf"FramePreparation\.{argument}"):
            FramePreparation(**options)
    FramePreparation(codec="mp4").check((16, 24))
    with pytest.raises(InvalidArgumentError, match=r"FramePreparation\.codec mp4: holds no pictures of 16 x 23"):
        FramePreparation(codec="mp4").check((16, 23))
