"""Signals while nothing is imported yet, and when the work is done."""

import os
import signal
import subprocess
import sys

import pytest

from pvdm_lightning.stopping import SIGNALS


def ended_by(signum, code="os.kill(os.getpid(), signum)", **variables):
    code = f"""
import atexit, os, sys
signum = {int(signum)}
if len(sys.argv) > 1:  # runs after what `stopping` has registered, and before the interpreter ends
    atexit.register(os.kill, os.getpid(), signum)
from pvdm_lightning.stopping import end_at_once_on_signals
end_at_once_on_signals()
{code}
"""
    environment = {name: value for name, value in os.environ.items() if "RANK" not in name} | variables
    command = [sys.executable, "-c", code, *(["late"] if "late" in code else [])]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("signum", SIGNALS)
def test_each_ends_the_process_in_one_line(signum):
    done = ended_by(signum, "print('result')\nos.kill(os.getpid(), signum)")
    assert (done.returncode, done.stderr) == (128 + signum, f"pvdm: {SIGNALS[signum]}\n")
    assert done.stdout == "result\n"


def test_a_late_one_does_not_change_the_status():
    done = ended_by(signal.SIGINT, "late = 3\nsys.exit(late)")
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_of_several_processes_the_first_one_says_it(variable):
    done = ended_by(signal.SIGTERM, **{variable: "1"})
    assert (done.returncode, done.stderr) == (143, "")


def test_little_is_imported_before_signals_are_heeded():
    code = "import sys; before = set(sys.modules); import pvdm_lightning.__main__; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "lightning", "importlib.metadata", "pathlib", "logging"} & set(loaded)
