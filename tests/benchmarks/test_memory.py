"""What is counted on fake tensors, and what was counted ahead for the GPU."""

import json
from functools import partial

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode


def test_the_peak_of_a_linear_layer():
    from benchmarks.counting import evaluation_peak, gflop, step_gflop, training_peak

    def build():
        layer, x = nn.Linear(1024, 1024, bias=False), torch.zeros(64, 1024)
        return [layer], lambda: layer(x).sum()

    # Weights, gradients and two states; the input, and what is a few numbers.
    assert training_peak(build) == pytest.approx((4 * 1024**2 + 2 * 64 * 1024) * 4 / 2**30, rel=0.02)
    assert evaluation_peak(lambda: build()[1]) == pytest.approx((1024**2 + 2 * 64 * 1024) * 4 / 2**30, rel=0.02)
    assert gflop(lambda: build()[1]) == pytest.approx(2 * 64 * 1024**2 / 1e9)
    assert step_gflop(build) == pytest.approx(2 * 2 * 64 * 1024**2 / 1e9)  # x needs no gradient


def test_the_peak_is_flat_then_a_line():
    from benchmarks.memory import Peaks

    peaks = Peaks(one=4.0, each=0.5, rest=2.0)
    assert [peaks.at(batch) for batch in (1, 4, 8)] == [4.0, 4.0, 6.0]
    card = 8 / 0.9 * 2**30 / 1e9  # 8 GiB without a tenth
    assert peaks.largest_batch(card) == 12 and peaks.at(12) == 8
    assert peaks.largest_batch(4) == 0


def test_what_was_counted_ahead_is_what_counting_gives():
    from benchmarks.counting import step_gflop, training_peak
    from benchmarks.memory import CASES
    from benchmarks.sections.training import COUNTED

    recorded = json.loads(COUNTED.read_text())
    assert recorded.keys() <= CASES.keys()
    step = partial(CASES["stage two, S"], 1)
    assert training_peak(step, "bf16-mixed") == pytest.approx(recorded["stage two, S"]["one"], rel=1e-3)
    assert step_gflop(step) == pytest.approx(recorded["stage two, S"]["gflop"], rel=1e-3)


@pytest.mark.parametrize("case", ["stage one", "stage two, S"])
def test_networks_have_their_kernels_for_a_gpu(case):
    from benchmarks.memory import CASES
    from pvdm_lightning.gpu.accelerate import FASTER

    with FakeTensorMode():
        networks, _ = CASES[case](1)
    kinds = {type(module) for network in networks for module in network.modules()}
    assert kinds & {*FASTER.values()} and not kinds & FASTER.keys()


def test_the_table_and_its_file(bench, monkeypatch, tmp_path):
    from benchmarks import memory

    def step(batch):
        layer, x = nn.Linear(1024, 1024, bias=False), torch.zeros(batch, 1024)
        return [layer], lambda: layer(x).sum()

    monkeypatch.setattr(memory, "CASES", {"stage two, tiny": step})
    printed = bench("memory", "--json", tmp_path / "counted.json")
    rows = [line.split() for line in printed.splitlines() if line.startswith("stage two, tiny")]
    assert [row[3] for row in rows] == ["32-true", "bf16-mixed"]
    figures = json.loads((tmp_path / "counted.json").read_text())["stage two, tiny"]
    assert figures.keys() == {"one", "each", "rest", "gflop"} and float(rows[1][4]) == round(figures["one"], 2)
