"""What the dashboard's scalars say is what there is."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pvdm_lightning.callbacks import Throughput, Utilization, WeightNorms, monitoring
from pvdm_lightning.callbacks.records import environment, options_of


class Module(nn.Module):
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(64, 32, bias=False)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.logged = {}

    def log(self, name, value, **_):
        self.logged[name] = float(value)

    def log_dict(self, values, **_):
        for name, value in values.items():
            self.log(name, value)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when told to."""
    now = SimpleNamespace(seconds=0.0)
    fake = SimpleNamespace(perf_counter=lambda: now.seconds)
    for module in (monitoring,):
        monkeypatch.setattr(module, "time", fake)
    return now


def trainer(**values):
    connector = SimpleNamespace(should_update_logs=True)
    return SimpleNamespace(
        **{
            "log_every_n_steps": 10,
            "world_size": 2,
            "_logger_connector": connector,
            "precision": "bf16-mixed",
            "strategy": object(),
            **values,
        }
    )


def test_clips_and_waiting(clock):
    callback, module, run = Throughput(), Module(), trainer()
    callback.on_train_start(run, module)
    for _ in range(3):
        clock.seconds += 1.0  # waiting for data
        callback.on_train_batch_start(run, module, {}, 0)
        clock.seconds += 3.0
        callback.on_train_batch_end(run, module, None, {"clip": torch.zeros(8)}, 0)
    assert module.logged["train/clips_per_second"] == pytest.approx(8 * 2 / 4)
    assert module.logged["system/data_wait_share"] == pytest.approx(0.25)
    assert module.logged["system/peak_memory_gib"] > 0.05


def test_flops_of_a_step_and_their_share_of_the_peak(clock):
    callback, module, run = Utilization(peak_tflops=1e-6), Module(), trainer()
    callback.on_train_start(run, module)
    for number in range(4):
        callback.on_train_batch_start(run, module, {}, number)
        module.net(torch.ones(16, 64)).sum().backward()
        clock.seconds += 0.5
        callback.on_train_batch_end(run, module, None, {}, number)
    step = 2 * 16 * 64 * 32 * 2  # the product, and its gradient by the weight; the input needs none
    assert module.logged["train/tflops_per_second"] == pytest.approx(step / 0.5 / 1e12)
    assert module.logged["train/mfu"] == pytest.approx(step / 0.5 / 1e6)


def test_no_flops_are_claimed_where_they_are_not_counted(clock):
    callback, module, run = Utilization(), Module(), trainer()
    callback.on_train_start(run, module)
    for number in range(4):
        callback.on_train_batch_start(run, module, {}, number)
        callback.on_train_batch_end(run, module, None, {}, number)
    assert not module.logged


def test_flops_of_compiled_parts_are_counted_without_compiling_again(clock):
    callback, module, run = Utilization(peak_tflops=1.0), Module(), trainer()
    module.net.forward = torch.compile(module.net.forward, backend="aot_eager")
    callback.on_train_start(run, module)
    for number in range(4):
        with torch.compiler.set_stance("fail_on_recompile" if number else "default"):
            callback.on_train_batch_start(run, module, {}, number)
            module.net(torch.ones(16, 64)).sum().backward()
            clock.seconds += 0.5
            callback.on_train_batch_end(run, module, None, {}, number)
    assert module.logged["train/tflops_per_second"] == pytest.approx(2 * 16 * 64 * 32 * 2 / 0.5 / 1e12)


def test_norms_of_trained_networks_alone():
    module = Module()
    WeightNorms().on_train_batch_end(trainer(), module, None, {}, 0)
    assert module.logged == {"weights/net": pytest.approx(float(module.net.weight.norm()), rel=1e-5)}


def test_options_have_short_names():
    node = {"_class_path": "a.B", "net": {"class_path": "a.C", "init_args": {"dim": 3}}, "rate": 0.1}
    assert options_of(node) == {"net.dim": 3, "rate": 0.1}


def test_the_environment_names_versions():
    found = environment(torch.device("cpu"))
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"].startswith(torch.__version__[:3])
    assert "git commit" in found
