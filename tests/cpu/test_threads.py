import os
import subprocess
import sys

import pytest

from pvdm_lightning.cpu.threads import wait_passively


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    wait_passively()
    assert os.environ["OMP_WAIT_POLICY"] == after


def test_the_command_sets_it_before_pytorch_is_there() -> None:
    script = """
import builtins, os, sys
import pvdm_lightning.__main__ as command
assert "torch" not in sys.modules
real = builtins.__import__
def watched(name, *rest):
    if name == "torch" and "torch" not in sys.modules:
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
        print("before")
        raise SystemExit
    return real(name, *rest)
builtins.__import__ = watched
sys.argv = ["pvdm", "fit", "--help"]
command.main()
"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert run.stdout == "before\n", run.stderr
