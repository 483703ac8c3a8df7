import logging

import pytest
import torch

from pvdm_lightning.metrics import FeatureStatistics, load_statistics, save_statistics, statistics_path

PROTOCOL = {"data": "ucf101", "split": "train", "count": 2048, "frames": 16, "network": "i3d-original"}


@pytest.fixture
def statistics():
    return FeatureStatistics.from_features(torch.randn(9, 5, generator=torch.Generator().manual_seed(0)))


def test_statistics_survive_the_disk(tmp_path, statistics):
    path = statistics_path(tmp_path / "new", PROTOCOL)
    save_statistics(statistics, path, PROTOCOL)
    read = load_statistics(path, PROTOCOL)
    assert read is not None
    assert torch.equal(read.total, statistics.total)
    assert torch.equal(read.outer, statistics.outer)
    assert read.count == 9
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_protocol_is_another_file_and_is_not_read(tmp_path, statistics):
    path = statistics_path(tmp_path, PROTOCOL)
    save_statistics(statistics, path, PROTOCOL)
    other = {**PROTOCOL, "frames": 128}
    assert statistics_path(tmp_path, other) != path
    assert statistics_path(tmp_path, dict(reversed(PROTOCOL.items()))) == path
    assert load_statistics(path, other) is None
    assert load_statistics(statistics_path(tmp_path, other), other) is None


def test_a_damaged_file_is_logged_and_left(tmp_path, caplog):
    path = statistics_path(tmp_path, PROTOCOL)
    path.write_bytes(b"half a file")
    with caplog.at_level(logging.WARNING):
        assert load_statistics(path, PROTOCOL) is None
    assert f"{path} cannot be read" in caplog.text


def test_one_video_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 videos, not 1"):
        FeatureStatistics.from_features(torch.ones(1, 3)).covariance()
