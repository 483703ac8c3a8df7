import numpy as np
import pytest

from pvdm_lightning.data.videos.array_axes import ORDERS, check_axes, find_axes, picture, problem_of
from pvdm_lightning.errors import InvalidArgumentError


def moving_digits(videos=9, frames=20, side=32, colours=1):
    """uint8 [N T H W C]: two small shapes that bounce over black, as Moving MNIST."""
    rng = np.random.default_rng(0)
    made = np.zeros((videos, frames, side, side, colours), np.uint8)
    for video in made:
        for _ in range(2):
            place, speed = rng.uniform(0, side - 8, 2), rng.uniform(-2, 2, 2)
            for frame in video:
                y, x = np.abs(place).astype(int) % (side - 8)
                frame[y : y + 8, x : x + 3] = frame[y : y + 3, x : x + 8] = 255
                place = place + speed
    return made


def ordered(videos, axes):
    """Videos [N T H W C] with their axes in another order; the first video where there is no N."""
    kept = [slice(None) if axis in axes else 0 for axis in "NTHWC"]
    left = [axis for axis in "NTHWC" if axis in axes]
    return videos[tuple(kept)].transpose([left.index(axis) for axis in axes])


@pytest.mark.parametrize("axes", [*ORDERS[4], *ORDERS[5]])
def test_each_order_is_found(axes):
    videos = moving_digits(colours=3 if "C" in axes else 1)
    array = ordered(videos, axes)
    assert find_axes(array) == [axes]
    video = 4 if "N" in axes else 0
    expected = videos[video, 7]
    assert np.array_equal(picture(array, axes, video, 7), expected)


def test_gray_pictures_may_have_an_axis_of_colours():
    assert find_axes(moving_digits()) == ["NTHWC"]
    assert find_axes(moving_digits()[0].transpose(0, 3, 1, 2)) == ["TCHW"]


@pytest.mark.parametrize(
    ("shape", "orders"),
    [
        ((20, 20, 16, 16), ["NTHW", "TNHW"]),  # noise: no axis is time more than the other
        ((1, 20, 16, 16), ["CTHW"]),
        ((3, 3, 16, 16), ["TCHW", "CTHW"]),
        ((16, 512), []),
        ((16, 16, 16), []),
        ((100, 16, 5, 4), []),  # pictures of 5 x 4 pixels are something else
        ((0, 16, 16, 3), []),
        ((2, 2, 2**20, 2**20), []),
    ],
)
def test_only_what_is_certain_is_found(shape, orders):
    class Claims:
        def __getitem__(self, index):
            return np.random.default_rng(index[:2]).integers(0, 256, shape[2:], np.uint8)

    array = Claims()
    array.shape = shape
    assert find_axes(array) == orders


def test_equal_frames_tell_nothing():
    assert find_axes(np.zeros((9, 20, 16, 16), np.uint8)) == ["NTHW", "TNHW"]


@pytest.mark.parametrize("axes", ["", "TNH", "TTHW", "XTHW", "N T H W", "NHWC"])
def test_orders_that_are_none(axes):
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.axes .* is no order of the axes .*\. Give such as TNHW"
    ):
        check_axes(axes)


def test_stated_orders_have_to_fit():
    assert check_axes("tnhw") == "TNHW" and problem_of((20, 9, 4, 4), "TNHW") == ""
    assert problem_of((20, 9, 4), "TNHW") == "has 3 axes, not 4 (TNHW)"
    assert problem_of((20, 9, 4, 4), "THWC") == "has 4 colours by the order THWC, not 1 or 3"
    assert "and at most 67,108,864 are read" in problem_of((2, 2**20, 2**20), "THW")
    assert problem_of((0, 9, 4, 4), "TNHW") == "is empty ([0, 9, 4, 4])"
