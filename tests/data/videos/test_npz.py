import json

import numpy as np
import pytest
import torch

from pvdm_lightning import write_video
from pvdm_lightning.data.videos.metadata import read_metadata
from pvdm_lightning.data.videos.npz import write_npz

ABOUT = {"seed": 3, "checkpoint": {"name": "<odd> & \u00e4.ckpt"}}


@pytest.fixture
def video():
    return torch.randint(256, (3, 12, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_npz_joins_videos(tmp_path, video):
    videos = [video, video.flip(1)]
    parts = [write_video(one, tmp_path / f"{i}.npy") for i, one in enumerate(videos)]
    for name in ("a.npz", "b.npz"):
        write_npz(parts, [4, 7], tmp_path / name, ABOUT)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    joined = np.load(tmp_path / "a.npz")
    assert joined["videos"].shape == (2, 12, 32, 48, 3) and joined["index"].tolist() == [4, 7]
    assert np.array_equal(joined["videos"][1], np.load(parts[1]))
    assert read_metadata(tmp_path / "a.npz") == ABOUT == json.loads(str(joined["metadata"]))
