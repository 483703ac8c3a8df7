"""The energy of frame differences, against its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import FRAME_DIFFERENCES, motion_ratio


@st.composite
def clips(draw):
    shape = [draw(st.integers(1, 3)), 3, draw(st.integers(2, 6)), draw(st.integers(1, 8)), draw(st.integers(1, 8))]
    seeded = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return torch.randint(0, draw(st.integers(1, 256)), shape, generator=seeded, dtype=torch.uint8)


@settings(deadline=None)
@given(clips())
def test_it_is_the_mean_change_of_a_pixel_from_frame_to_frame(videos):
    found = FRAME_DIFFERENCES(videos)
    assert found.shape == (len(videos), FRAME_DIFFERENCES.num_outputs)
    change = np.abs(np.diff(videos.numpy().astype(np.int64), axis=2)).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(found[:, 0], change, rtol=1e-6)
    for same in (videos.flip(2), videos.flip(3, 4), videos[:, [2, 0, 1]], 255 - videos):
        torch.testing.assert_close(FRAME_DIFFERENCES(same), found, rtol=1e-6, atol=0)
    torch.testing.assert_close(FRAME_DIFFERENCES(videos.float(), unquantised=True), found)
    torch.testing.assert_close(torch.cat([FRAME_DIFFERENCES(video[None]) for video in videos]), found, rtol=0, atol=0)


def test_the_ratio_of_two_sides():
    still = torch.full((1, 3, 4, 8, 8), 7, dtype=torch.uint8)
    slow, fast = (still + step * torch.arange(4, dtype=torch.uint8)[:, None, None] for step in (2, 5))
    assert FRAME_DIFFERENCES(slow) == 2 and FRAME_DIFFERENCES(still) == 0
    real = FRAME_DIFFERENCES(torch.cat([slow, still, slow]))
    assert motion_ratio(real, FRAME_DIFFERENCES(fast)) == pytest.approx(5 / (4 / 3))
    assert motion_ratio(real, FRAME_DIFFERENCES(still)) == 0 and motion_ratio(real, real) == 1
    with pytest.raises(ValueError, match="no real video moves"):
        motion_ratio(FRAME_DIFFERENCES(still), real)
    with pytest.raises(InvalidArgumentError, match="is not uint8"):
        FRAME_DIFFERENCES(still.float())
