import numpy as np
import pytest
import torch

from pvdm_lightning.data.videos import synthetic
from pvdm_lightning.data.videos.synthetic import MOTIONS, SHAPES, SyntheticVideos


@pytest.mark.parametrize("index", range(8))
def test_frames_do_not_depend_on_which_others_are_drawn(index):
    videos = SyntheticVideos(0, 8, 40, seed=3)
    whole = videos.read(index, range(40), (24, 32))
    assert whole.shape == (3, 40, 24, 32) and whole.dtype == torch.uint8
    assert torch.equal(videos.read(index, [7, 30], (24, 32)), whole[:, [7, 30]])


def test_videos_follow_from_seed_and_index_alone():
    long, shifted = SyntheticVideos(0, 8, 16, seed=0), SyntheticVideos(5, 2, 16, seed=0)
    assert torch.equal(long.read(6, range(4), (16, 16)), shifted.read(1, range(4), (16, 16)))
    assert long.labels[6] == shifted.labels[1]
    other = SyntheticVideos(0, 8, 16, seed=1)
    assert not torch.equal(long.read(0, range(4), (16, 16)), other.read(0, range(4), (16, 16)))
    assert len({bytes(long.read(index, [0], (16, 16)).numpy()) for index in range(8)}) == 8


@pytest.mark.parametrize("index", range(12))
def test_something_moves_smoothly(index):
    video = SyntheticVideos(0, 12, 32, seed=0).read(index, range(32), (48, 48)).float()
    change = (video[:, 1:] - video[:, :-1]).abs()
    assert change.mean(dim=(0, 2, 3)).median() > 0.03, "it moves"
    assert change.mean(dim=(0, 2, 3)).max() < 25, "and does not jump"
    # No pixel noise: a pixel is close to the mean of its neighbours nearly everywhere.
    rough = (video[:, 0] - torch.nn.functional.avg_pool2d(video[:, 0], 3, 1, 1))[:, 1:-1, 1:-1].abs()
    assert rough.median() < 3


@pytest.mark.parametrize("backgrounds", ["coloured", "plain"])
def test_classes_are_the_kinds_of_the_first_shapes_and_motions_take_turns(backgrounds, monkeypatch):
    painted: list[tuple[str, str]] = []
    monkeypatch.setattr(synthetic, "_paint", lambda _, shape, motion, *how: painted.append((shape.kind, motion)))
    videos = SyntheticVideos(2**40, 30, 8, seed=0, max_shapes=3, backgrounds=backgrounds)
    assert videos.labels.dtype == np.int64 and not painted
    for index in range(30):
        painted.clear()
        videos.read(index, [0], (8, 12))
        assert painted[0] == (videos.class_names[videos.labels[index]], MOTIONS[index % 4])
    assert set(videos.labels.tolist()) == set(range(len(SHAPES)))


def test_a_video_looks_the_same_at_every_resolution():
    videos = SyntheticVideos(0, 4, 8, seed=0)
    for index in range(4):
        small, large = videos.read(index, [3], (32, 32)).float(), videos.read(index, [3], (128, 128)).float()
        shrunk = torch.nn.functional.avg_pool2d(large[:, 0], 4)
        assert (small[:, 0] - shrunk).abs().mean() < 4


@pytest.mark.parametrize("index", range(8))
def test_plain_backgrounds_are_one_dark_colour_that_shapes_stand_out_from(index):
    videos = SyntheticVideos(0, 8, 4, seed=0, max_shapes=1, backgrounds="plain")
    frame = videos.read(index, [0], (32, 32))[:, 0].float()
    corners = frame[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    shades = corners / corners.sum(dim=0)
    assert (shades - shades[:, :1]).abs().max() < 0.02 and corners.max() < 0.34 * 1.25 * 255 + 1
    assert (frame - frame[:, :, :1]).abs().amax(dim=0).max() > 60


@pytest.mark.parametrize("most", [1, 3])
def test_max_shapes_bounds_the_shapes(most, monkeypatch):
    painted: list[int] = []
    monkeypatch.setattr(synthetic, "_paint", lambda *_: painted.append(1))
    counts = set()
    for index in range(30):
        painted.clear()
        SyntheticVideos(0, 30, 2, seed=0, max_shapes=most).read(index, [0], (8, 8))
        counts.add(len(painted))
    assert counts == set(range(1, most + 1))
