"""benchmarks/stage_one.py and stage_two.py run on tiny sizes, as on a CPU so in the precision of a GPU."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import warm

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROWS = {
    "stage_one.py": ["encode", "decode", "training step", "training step, adversarial", "training step, checkpointing"],
    "stage_two.py": [
        "PVDM-tiny denoising step",
        "PVDM-tiny guided step",
        "PVDM-tiny guidance of weight 0",
        "PVDM-tiny training step",
        "PVDM-tiny iteration, first clip",
        "PVDM-tiny iteration, pair",
    ],
}


def options(precision):
    return ["--quick", "--repeats", "1", "--threads", "1", "--precision", precision]


def check(script, precision, printed):
    head, _, _, _, *rows = printed.splitlines()
    assert head.startswith("bfloat16" if precision == "bf16-mixed" else "float32")
    assert {row[:38].strip(): float(row[38:].split()[0]) > 0 for row in rows} == dict.fromkeys(ROWS[script], True)


@pytest.fixture
def main(monkeypatch):
    """`main(script, options)`: what the script does, here; only its sides are processes, and those are warm ones."""
    monkeypatch.syspath_prepend(FOLDER)
    before, threads = set(sys.modules), torch.get_num_threads()
    import measure
    import sides

    for name, value in measure.ALLOCATOR.items():  # the script would start this process again to set them
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sides, "get_context", lambda method: warm.context())

    def run(script, given):
        monkeypatch.setattr(sys, "argv", [script, *given])
        importlib.import_module(script.removesuffix(".py")).main()

    yield run
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.parametrize("script", ROWS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_row_is_printed(main, monkeypatch, script, precision):
    said = []
    monkeypatch.setattr(sys.modules["measure"], "say", said.append)
    monkeypatch.setattr(sys.modules["sides"], "say", said.append)
    main(script, options(precision))
    check(script, precision, "".join(said))


def test_as_a_script():
    """With the processes that it starts for itself."""
    command = [sys.executable, FOLDER / "stage_one.py", *options("32-true")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    check("stage_one.py", "32-true", run.stdout)
