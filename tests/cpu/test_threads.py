import os
import subprocess
import sys

import pytest

from pvdm_lightning.cpu.threads import SPIN_COUNT, wait_briefly

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": SPIN_COUNT}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(monkeypatch, before, after):
    for name in NAMES:
        monkeypatch.setenv(name, "")  # restored after the test, whatever happens in it
        monkeypatch.delenv(name)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert {name: os.environ[name] for name in NAMES if name in os.environ} == after


def test_the_command_sets_it_before_pytorch_is_there():
    script = """
import builtins, os, sys
import pvdm_lightning.__main__ as command
assert "torch" not in sys.modules
real = builtins.__import__
def watched(name, *rest):
    if name == "torch" and "torch" not in sys.modules:
        print(os.environ["GOMP_SPINCOUNT"])
        raise SystemExit
    return real(name, *rest)
builtins.__import__ = watched
sys.argv = ["pvdm", "fit", "--help"]
command.main()
"""
    environment = {key: value for key, value in os.environ.items() if key not in NAMES}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert run.stdout == f"{SPIN_COUNT}\n", run.stderr
