import logging

import pytest
import torch

from pvdm_lightning.evaluation.features import ClipFeatures, generated_clips
from pvdm_lightning.evaluation.real_features import cached_path, keep, load_cached


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))


def of(record):
    return ClipFeatures(torch.ones(3, 2), generated_clips(range(3), "g", 16), record)


def test_complete_sets_of_the_same_record_are_found():
    keep(of({"seed": 0}), count=3)
    keep(of({"seed": 1}), count=4)  # one is missing
    found = load_cached({"seed": 0}, count=3)
    assert found is not None and torch.equal(found.values, torch.ones(3, 2))
    assert load_cached({"seed": 1}, count=4) is None and load_cached({"seed": 1}, count=3) is None
    cached_path({"seed": 0}).rename(cached_path({"seed": 2}))
    assert load_cached({"seed": 2}, count=3) is None


def test_a_damaged_file_is_logged_and_left(caplog):
    path = cached_path({})
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    with caplog.at_level(logging.WARNING):
        assert load_cached({}, count=3) is None
    assert f"{path} is no file of features" in caplog.text
