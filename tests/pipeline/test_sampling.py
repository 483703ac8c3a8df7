import pytest

from pvdm_lightning.diffusion import NoiseSchedule
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import Sampling, sampling
from pvdm_lightning.training import LatentDiffusionModule


def test_sampling_counts():
    long = Sampling(num_frames=33, num_inference_steps=100, num_inference_steps_later=20)
    assert long.num_clips(16) == 3
    assert Sampling().num_clips(16) == 1
    module = LatentDiffusionModule(TriplaneUNet(base_channels=32, channel_multipliers=(1,), heads=2))
    assert long.steps(module.schedule) == (100, 20)
    assert Sampling(num_inference_steps=50).steps(module.schedule) == (50, 50)
    assert Sampling(sampler="ddpm").steps(module.schedule) == (1000, 1000)
    short = NoiseSchedule(50)
    assert Sampling(sampler="ddpm").samplers(short)  # its steps are the schedule's, whatever the number for others
    with pytest.raises(InvalidArgumentError, match="num_inference_steps 100: is more than the 50 steps"):
        Sampling().samplers(short)


def test_videos_that_memory_cannot_hold(monkeypatch):
    available = sampling.available_memory()
    assert available is None or 0 < available < 2**50
    monkeypatch.setattr(sampling, "available_memory", lambda: 2**30)
    Sampling(batch_size=100).check_memory((16, 256, 256))
    with pytest.raises(
        InvalidArgumentError, match=r"Sampling.num_frames 16: a batch of 400 such videos of 256 x 256 pixels"
    ):
        Sampling(num_videos=400, batch_size=400).check_memory((16, 256, 256))
    long = Sampling(num_frames=10**6, num_videos=4)
    with pytest.raises(InvalidArgumentError, match=r"Sampling.num_frames 1000000: a batch of 4 such videos"):
        long.check_memory((16, 256, 256))
    long.check_memory((16, 256, 256), streamed=True)  # one clip is held, whatever the length
    with pytest.raises(InvalidArgumentError, match=r"Sampling.batch_size 400: clips of 400 videos of 256 x 256 pixels"):
        Sampling(num_videos=400, batch_size=400).check_memory((16, 256, 256), streamed=True)
    monkeypatch.setattr(sampling, "available_memory", lambda: None)
    Sampling(num_videos=400, batch_size=400).check_memory((16, 256, 256))
