"""What cannot fit into memory is said before it is allocated."""

from typing import Any

import pytest

from pvdm_lightning import Synthetic, memory
from pvdm_lightning.data.output.writing import write_video
from pvdm_lightning.data.videos.reading import read_video
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline import Sampling

SMALL: dict[str, Any] = {"frames": 4, "resolution": 16, "clips_per_sample": 1, "num_workers": 0, "num_videos": 4}


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("resolution", 10**6, "frames/DataModule.resolution"),
        ("resolution", (10**9, 8), "frames/DataModule.resolution"),
        ("frames", 10**11, "frames/DataModule.resolution"),
        ("num_videos", 10**13, "num_videos"),
        ("num_val_videos", 10**13, "num_val_videos"),
    ],
)
def test_a_data_set_beyond_memory(argument, value, named):
    with pytest.raises(InvalidArgumentError, match=rf"^DataModule\.{named} .*: .* would take .* GiB, and .* are free"):
        Synthetic(**{**SMALL, argument: value}).setup()


def test_a_batch_is_no_larger_than_the_set(monkeypatch):
    Synthetic(**{**SMALL, "batch_size": 10**12}).setup()
    monkeypatch.setattr(memory, "available_memory", lambda: 3 * 4 * 16 * 16 * 3)
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule\.batch_size 8: a batch \(4 frames of 16 x 16 pixels\)"
    ):
        Synthetic(**SMALL).setup()


def test_videos_beyond_memory(tmp_path):
    import torch

    path = write_video(torch.zeros(3, 2, 8, 8, dtype=torch.uint8), tmp_path / "a.gif")
    with pytest.raises(InvalidArgumentError, match=r"^read_video\.resolution 1000000 x 1000000: the video would take"):
        read_video(path, resolution=(10**6, 10**6))
    with pytest.raises(InvalidArgumentError, match=r"^Sampling\.num_videos 1000000000000: is more than 10,000,000"):
        Sampling(num_videos=10**12).check_memory((4, 8, 8))
    for frames in ([5], [-1], [1, 0], [0, 0], [], [0.5], [float("nan")]):
        with pytest.raises(InvalidArgumentError, match=r"^read_video\.frames "):
            read_video(path, frames=frames)  # type: ignore[arg-type]
    assert read_video(path, frames=[1], resolution=(4, 6)).shape == (3, 1, 4, 6)


def test_the_container_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    whole = memory.available_memory()
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 100000\nactive_file 50000\n")
    assert memory.available_memory() == 450_000
    (tmp_path / "memory.max").write_text("max\n")
    assert whole is None or memory.available_memory() is not None
