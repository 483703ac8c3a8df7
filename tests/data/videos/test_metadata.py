"""Files say inside how they were made, and repeat to the byte."""

import numpy as np
import pytest
import torch

from pvdm_lightning import write_video
from pvdm_lightning.data.videos.metadata import read_metadata

ABOUT = {"seed": 3, "checkpoint": {"name": "<odd> & \u00e4.ckpt"}}


@pytest.fixture
def video():
    return torch.randint(256, (3, 12, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["video.mp4", "video.gif", "frames"])
def test_metadata_come_back(tmp_path, video, name):
    assert read_metadata(write_video(video, tmp_path / name, metadata=ABOUT)) == ABOUT
    assert read_metadata(write_video(video, tmp_path / f"other_{name}")) is None


@pytest.mark.parametrize("name", ["video.mp4", "video.gif"])
def test_files_repeat_to_the_byte(tmp_path, video, name):
    """Whatever lies in freed memory: mp4 files differed once from run to run."""
    written = set()
    for _ in range(12):
        junk = [np.random.default_rng().integers(0, 255, 50_000, dtype=np.uint8) for _ in range(60)]
        del junk
        written.add(write_video(video, tmp_path / name, metadata=ABOUT).read_bytes())
    assert len(written) == 1
