import io

import av
import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning.data.videos.writing import WRITERS, gif_bytes, write_video


@pytest.fixture
def video():
    """Slow colour ramps, 6 frames of 20 x 30: what a lossy codec keeps."""
    t, y, x = torch.meshgrid(torch.arange(6), torch.arange(20), torch.arange(30), indexing="ij")
    return torch.stack([x * 8, y * 12, 40 * t], dim=0).to(torch.uint8)


def test_lossless_formats(video, tmp_path):
    frames = video.permute(1, 2, 3, 0).numpy()
    assert np.array_equal(np.load(write_video(video, tmp_path / "a.npy", 25)), frames)
    folder = write_video(video, tmp_path / "a", 25)
    assert [np.array_equal(np.asarray(Image.open(p)), f) for p, f in zip(sorted(folder.iterdir()), frames)] == [
        True
    ] * 6


def test_mp4(video, tmp_path):
    with av.open(str(write_video(video, tmp_path / "a.mp4", 12.5))) as container:
        assert float(container.streams.video[0].average_rate) == 12.5
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(decoded.astype(int) - video.permute(1, 2, 3, 0).numpy()).mean() < 6


def test_odd_sides_lose_a_line_in_mp4(video, tmp_path):
    with av.open(str(write_video(video[:, :, :19, :29], tmp_path / "a.mp4", 8))) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (18, 28)


def test_gif(video):
    gif = Image.open(io.BytesIO(gif_bytes(video, 10)))
    assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (6, (30, 20), 100, 0)


@pytest.mark.parametrize("file_format", WRITERS)
def test_nothing_half_written_is_left_under_the_name(video, tmp_path, file_format, monkeypatch):
    suffix = WRITERS[file_format][0]

    def fails(video, path, fps, metadata):
        path.touch()
        raise KeyboardInterrupt

    monkeypatch.setitem(WRITERS, file_format, (suffix, fails))
    with pytest.raises(KeyboardInterrupt):
        write_video(video, tmp_path / f"a{WRITERS[file_format][0]}", 25)
    assert not (tmp_path / f"a{suffix}").exists()
