import pytest
import torch

from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.metrics import FrozenNetwork


@pytest.fixture
def networks():
    module = torch.nn.Identity()
    i3d = FrozenNetwork(module, "i3d", 400, distance="FVD", min_frames=9)
    return [i3d, FrozenNetwork(module, "transnetv2", 256)]


def test_lengths_of_the_paper(networks):
    lengths = choose_lengths([128, 16], 8, inception_score=True, networks=networks)
    assert [one.frames for one in lengths.selections] == ["16", "128", "16 of 128"]
    assert [one.span for one in lengths.selections] == [16, 128, 121]
    assert (lengths.inception, lengths.used, lengths.skipped) == (16, [16, 128], [])


def test_lengths_that_networks_cannot_take_are_left_out_by_name(networks):
    lengths = choose_lengths([4, 12], 8, inception_score=True, networks=networks[:1])
    assert [one.length for one in lengths.selections] == [12]
    assert [name for name, _ in lengths.skipped] == ["FVD 4 (i3d)", "IS"]
    assert lengths.inception is None
    both = choose_lengths([4, 12], 8, inception_score=False, networks=networks)
    assert [one.length for one in both.selections] == [4, 12]
    assert both.skipped == [("FVD 4 (i3d)", "it needs 9 frames or more.")]


def test_without_networks_there_are_no_distances():
    lengths = choose_lengths([16, 128], 8, inception_score=True, networks=[])
    assert (lengths.selections, lengths.used) == ([], [16])
