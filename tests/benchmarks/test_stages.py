"""benchmarks/stage_one.py and stage_two.py run on tiny sizes, as on a CPU so in the precision of a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("script", ROWS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_row_is_printed(script, precision):
    options = ["--quick", "--repeats", "1", "--threads", "1", "--precision", precision]
    run = subprocess.run([sys.executable, FOLDER / script, *options], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    head, _, _, _, *rows = run.stdout.splitlines()
    assert head.startswith("bfloat16" if precision == "bf16-mixed" else "float32")
    assert {row[:38].strip(): float(row[38:].split()[0]) > 0 for row in rows} == dict.fromkeys(ROWS[script], True)
