import pytest
import torch

from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.metrics import FRAME_DIFFERENCES, FrozenNetwork


@pytest.fixture
def networks():
    return [
        FrozenNetwork(torch.nn.Identity(), "i3d-original", 400, min_frames=9),
        FrozenNetwork(torch.nn.Identity(), "transnetv2", 256),
    ]


def test_lengths_of_the_paper(networks):
    lengths = choose_lengths([128, 16], 8, inception_score=True, networks=networks)
    assert [selection.frames for selection in lengths.selections] == ["16", "128", "16 of 128"]
    assert [selection.span for selection in lengths.selections] == [16, 128, 121]
    assert (lengths.inception, lengths.used, lengths.skipped) == (16, [16, 128], [])


def test_lengths_that_networks_cannot_take_are_left_out_by_name(networks):
    lengths = choose_lengths([4, 12], 8, inception_score=True, networks=networks[:1])
    assert [selection.frames for selection in lengths.selections] == ["12"]
    assert [name for name, _ in lengths.skipped] == ["FVD 4 (i3d-original)", "IS"]
    assert lengths.inception is None
    both = choose_lengths([4, 12], 8, inception_score=False, networks=networks)
    assert [selection.length for selection in both.selections] == [4, 12]
    assert both.skipped == [("FVD 4 (i3d-original)", "it needs 9 frames or more.")]


def test_frame_differences_select_no_length_unless_they_are_alone(networks):
    beside = choose_lengths([1, 4, 12], 8, inception_score=False, networks=[networks[0], FRAME_DIFFERENCES])
    assert [selection.length for selection in beside.selections] == [12]
    alone = choose_lengths([1, 4, 12], 8, inception_score=False, networks=[FRAME_DIFFERENCES])
    assert [selection.length for selection in alone.selections] == [4, 12]
    assert alone.skipped == [("motion 1 (frame-differences)", "it needs 2 frames or more.")]


def test_without_networks_there_are_no_distances():
    lengths = choose_lengths([16, 128], 8, inception_score=True, networks=[])
    assert (lengths.selections, lengths.used) == ([], [16])
