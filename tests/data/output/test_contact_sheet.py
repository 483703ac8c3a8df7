import numpy as np
import pytest
import torch

from pvdm_lightning.data.output.contact_sheet import contact_sheet, enlarge, video_grid


def test_a_sheet_has_a_row_of_enlarged_frames_for_each_video():
    videos = torch.randint(0, 256, (3, 3, 15, 24, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sheet = np.asarray(contact_sheet(videos, num_frames=8))
    assert sheet.shape == (3 * 144, 8 * 240, 3)  # 6 x 24 is the first multiple that has 128
    small = torch.from_numpy(sheet.copy())[::6, ::6].permute(2, 0, 1)
    for row, video in enumerate(videos):
        for column, time in enumerate(range(0, 15, 2)):
            cell = small[:, 24 * row : 24 * row + 24, 40 * column : 40 * column + 40]
            assert torch.equal(cell, video[:, time])


def test_short_videos_show_all_frames_and_large_ones_stay():
    videos = torch.zeros(1, 3, 4, 200, 100, dtype=torch.uint8)
    assert contact_sheet(videos, num_frames=8).size == (400, 200)


@pytest.mark.parametrize("gap", [0, 3])
def test_a_grid_plays_videos_side_by_side(gap):
    videos = torch.arange(6 * 5, dtype=torch.uint8).view(6, 1, 5, 1, 1).expand(6, 3, 5, 8, 8)
    grid = video_grid(videos, columns=3, least_side=16, gap=gap)
    assert grid.shape == (3, 5, 32 + gap, 48 + 2 * gap)
    for number, video in enumerate(videos):
        row, column = (number // 3) * (16 + gap), (number % 3) * (16 + gap)
        assert torch.equal(grid[:, :, row + 15, column + 15], video[:, :, 0, 0])


def test_enlarging_repeats_pixels():
    video = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).view(1, 1, 2, 2)
    assert enlarge(video, 4)[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert torch.equal(enlarge(video, 2), video)
