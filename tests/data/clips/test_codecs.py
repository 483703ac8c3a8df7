import io

import numpy as np
import pytest
import torch
from PIL import Image

from pvdm_lightning.data.clips.codecs import round_trip
from pvdm_lightning.data.output.writing import write_video
from pvdm_lightning.data.videos.reading import read_video


@pytest.fixture(scope="module")
def clip():
    """uint8 [3 6 32 48]: a soft pattern that moves."""
    t, y, x = np.meshgrid(np.arange(6), np.arange(32), np.arange(48), indexing="ij")
    planes = [127 + 100 * np.sin(0.2 * x + 0.1 * y + 0.3 * t + shift) for shift in (0, 1, 2)]
    return torch.from_numpy(np.stack(planes).astype(np.uint8))


def error(clip, codec):
    decoded = round_trip(clip, codec)
    assert decoded.dtype == torch.uint8 and decoded.shape == clip.shape
    assert torch.equal(decoded, round_trip(clip, codec))
    return (decoded.float() - clip.float()).square().mean().item()


def test_no_codec_is_no_copy(clip):
    assert round_trip(clip, "none") is clip


def test_jpeg_is_what_pillow_saves_by_default(clip):
    frames = []
    for frame in clip.permute(1, 2, 3, 0).numpy():
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG")  # the quality is Pillow's own
        frames.append(torch.from_numpy(np.array(Image.open(buffer))))
    assert torch.equal(round_trip(clip, "jpeg75"), torch.stack(frames).permute(3, 0, 1, 2))
    assert error(clip, "jpeg75") > 1


def test_mp4_is_nearer_than_a_file_of_lower_quality(clip, tmp_path):
    write_video(clip, tmp_path / "a.mp4", fps=8)  # CRF 17
    file = (read_video(tmp_path / "a.mp4").float() - clip.float()).square().mean().item()
    assert 0 < error(clip, "mp4") < file


def test_one_codec_after_the_other(clip):
    both = round_trip(clip, "mp4_jpeg75")
    assert torch.equal(both, round_trip(round_trip(clip, "mp4"), "jpeg75")) and not torch.equal(both, clip)
