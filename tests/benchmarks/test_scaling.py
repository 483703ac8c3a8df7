"""benchmarks/scaling.py: what it counts obeys theory, what does not fit is left out by name, and it runs."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
# A stand-in for the package, so that the tables are tested whether it is installed or not.
STAND_IN = """
from torch import nn

class Unet3D(nn.Module):
    def __init__(self, dim, dim_mults):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(3, dim, 3, padding=1), nn.Conv3d(dim, 3, 3, padding=1))

    def forward(self, x, time, focus_present_mask):
        assert not focus_present_mask.all() and (~focus_present_mask).all()
        return self.layers(x)
"""


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules; they import each other as scripts do, by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    import pixel_unet
    import step_costs
    import step_times
    import sweep

    yield SimpleNamespace(pixel_unet=pixel_unet, step_costs=step_costs, step_times=step_times, sweep=sweep)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


def test_counted_attention_is_that_of_the_tokens(benchmarks, monkeypatch):
    monkeypatch.setattr(benchmarks.pixel_unet, "PACKAGE", "no_such_package")
    sweep = benchmarks.sweep.Sweep(32, (4, 8), (32,), 32, multipliers=(1,))
    few, many = sweep.by_frames
    costs = {}
    for clip in (few, many):
        builds = sweep.builds(clip)
        assert list(builds) == ["PVDM"]  # the other package is not there
        costs[clip] = benchmarks.step_costs.arithmetic(benchmarks.step_costs.evaluation(builds["PVDM"]))
        # One level: two blocks down, the middle, three up; two products of 2 L^2 C operations each.
        assert costs[clip].across == pytest.approx(6 * 4 * clip.shape.num_tokens**2 * 32 / 1e9)
        squares = sum(length**2 for length in clip.shape.lengths)
        assert costs[clip].inside == pytest.approx(6 * 4 * squares * 32 / 1e9)
    # But for the timestep's layers, which the size of a clip does not change.
    ratio = costs[many].convolution / costs[few].convolution
    assert ratio == pytest.approx(many.shape.num_tokens / few.shape.num_tokens, rel=0.01)


def test_what_does_not_fit_is_left_out_with_its_reason(benchmarks, monkeypatch):
    args = SimpleNamespace(repeats=1, cpu_time=False)
    monkeypatch.setattr(benchmarks.step_times, "free_memory", lambda: 10.0)
    stopwatch = benchmarks.step_times.Stopwatch(limit=5.0, rate=30.0, args=args)

    def build(batch):
        return torch.nn.Linear(2, 2), (torch.zeros(batch, 2),)

    builds = {"small": build, "slow": build, "large": build}
    work, gib = {"small": 1.0, "slow": 60.0, "large": 1.0}, {"small": 1.0, "slow": 1.0, "large": 4.0}
    seconds = stopwatch.seconds("4 x 32 x 32", "training", builds, work, gib)
    assert seconds.keys() == {"small"} and seconds["small"] > 0
    assert stopwatch.left_out == [
        "slow, training, 4 x 32 x 32: about 6.0 s, more than --limit 5",
        "large, training, 4 x 32 x 32: about 11 GiB with the libraries' copies, more than the 9 that are free",
    ]


def run(tmp_path, *options):
    # As the script sets them; it would start itself again to do so.
    allocator = {
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**32),
        "THP_MEM_ALLOC_ENABLE": "1",
    }
    environment = {
        **os.environ,
        **allocator,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(FOLDER / "scaling.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)


def test_quick_prints_both_denoisers(tmp_path):
    package = tmp_path / "video_diffusion_pytorch"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "video_diffusion_pytorch.py").write_text(STAND_IN)
    done = run(tmp_path, "--quick", "--repeats", "1", "--threads", "1")
    assert done.returncode == 0, done.stderr
    tables = done.stdout.split("In the form of the paper's comparison with VDM, 32 x 32")
    assert len(tables) == 2
    rows = [line for line in tables[0].splitlines() if line.startswith("8 x 32 x 32")]
    assert rows[0].split()[-3:] == ["1.00", "1.00", "1.00"]  # grows as theory says
    assert rows[1].count("x") == 2 + 3 and rows[2].count("x") == 2 + 2  # a ratio in each column
    names = [line.split("  ")[0] for line in tables[1].splitlines()]
    assert {"PVDM", "pixel U-Net", "PVDM, 2 clips", "decoding (sampling)"} <= set(names)
    assert "not run" not in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--base-channels", "100"], "--base-channels 100: is not a multiple of 32. Give 128 (S) or 256 (L)."),
        (
            ["--sides", "64", "100"],
            "--sides 100: is not a multiple of the patch, 8, of at least 32. Give one, such as 64.",
        ),
        (["--limit", "-1"], "--limit -1: is not a time. Give seconds, or 0 to count alone."),
    ],
)
def test_mistakes_end_in_one_line(benchmarks, monkeypatch, capsys, options, message):
    import scaling

    monkeypatch.setattr(sys, "argv", ["scaling.py", *options])
    with pytest.raises(SystemExit):
        scaling.options()
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


def test_a_plot_without_its_folder(benchmarks, monkeypatch, tmp_path):
    import scaling_plot

    monkeypatch.setattr(scaling_plot, "find_spec", lambda name: None)
    assert "pip install" in scaling_plot.problem(tmp_path / "scaling.png")
    monkeypatch.setattr(scaling_plot, "find_spec", lambda name: object())
    assert scaling_plot.problem(tmp_path / "scaling.png") is None
    assert "does not exist" in scaling_plot.problem(tmp_path / "absent" / "scaling.png")
    assert ".png" in scaling_plot.problem(tmp_path / "scaling.pdf")
