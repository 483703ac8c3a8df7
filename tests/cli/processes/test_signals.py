"""Signals while a command works, and the processes that it starts."""

import os
import signal
import subprocess
import time

import pytest

import warm
from pvdm_lightning import cli
from pvdm_lightning.cli.commands import weights as weights_command
from pvdm_lightning.cli.processes import launcher as processes
from pvdm_lightning.cli.processes.signals import Stopped, received_signal, signals_stop
from pvdm_lightning.stopping import SIGNALS


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_stops_what_is_under_way(signum):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with pytest.raises(Stopped) as stopped, signals_stop():
        try:
            os.kill(os.getpid(), signum)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one changes nothing
    assert stopped.value.code == 128 + signum and received_signal() == signum
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


@pytest.mark.parametrize("signum", SIGNALS)
def test_an_error_after_a_signal_is_its_consequence(signum, monkeypatch, capfd):
    def weights():
        """A command."""
        try:
            os.kill(os.getpid(), signum)
            time.sleep(5)
        except SystemExit:
            raise RuntimeError("Connection closed by peer") from None

    monkeypatch.setattr(weights_command, "weights", weights)
    with pytest.raises(SystemExit) as ended:
        cli.main(["weights"])
    assert ended.value.code == 128 + signum
    assert capfd.readouterr().err == f"pvdm: {SIGNALS[signum]}\n"


SWALLOWED = """
import os, signal, time
from pvdm_lightning.cli.processes import signals
signals.GRACE = 0.3
with signals.signals_stop():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        except SystemExit:  # a library that catches everything
            pass
"""
CHILD = """
import os, signal, subprocess, sys, time
from pvdm_lightning.cli.processes import launcher as processes
from pvdm_lightning.cli.processes.signals import Stopped, signals_stop
import threading
processes.GRACE = 0.3
processes._children.append(subprocess.Popen(["sh", "-c", "sleep 0.5; " + {command!r}]))
processes._children.append(subprocess.Popen(["sleep", "60"]))
print(processes._children[1].pid, flush=True)
threading.Thread(target=processes._watch_children, daemon=True).start()
if {heeds}:
    try:
        with signals_stop():
            time.sleep(60)
    finally:
        processes.end_children(0)
for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, lambda *_: None)  # as if the main thread never came to run a handler
time.sleep(60)
"""
ORPHAN = """
import os, signal, time
from pvdm_lightning.cli.processes import launcher as processes
os.environ["PVDM_STARTED_BY"] = str(os.getpid())
if os.fork() == 0:
    processes.watch_parent()
    time.sleep(60)
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_script(folder, text):
    """Exit status of a script, and what it and its children printed."""
    (folder / "script.py").write_text(text)
    process = warm.start(folder / "script.py", [], folder, folder / "said.txt")
    process.join(60)
    return process.exitcode, (folder / "said.txt").read_text()


def test_a_library_that_swallows_the_stop_does_not_keep_the_process(tmp_path):
    assert run_script(tmp_path, SWALLOWED) == (143, "pvdm: terminated\n")


@pytest.mark.parametrize(
    ("command", "heeds", "status", "line"),
    [
        ("kill -KILL $$", False, 2, "pvdm: error: process 1 of the run was killed (SIGKILL). If its memory ran out"),
        ("kill -SEGV $$", False, 2, "pvdm: error: process 1 of the run was killed (SIGSEGV)."),
        ("exit 2", False, 2, ""),  # it has said why
        ("exit 130", False, 130, "pvdm: interrupted"),
        ("kill -TERM $$", False, 143, "pvdm: terminated"),
        ("exit 130", True, 130, ""),  # `program.main` says it
        ("kill -TERM $$", True, 143, ""),
    ],
)
def test_the_first_process_ends_as_another_one_did(tmp_path, command, heeds, status, line):
    ended, said = run_script(tmp_path, CHILD.format(command=command, heeds=heeds))
    other, _, said = said.partition("\n")
    assert ended == status
    assert said.startswith(line) and said.count("\n") == bool(line)
    with pytest.raises(ProcessLookupError):
        os.kill(int(other), 0)


def test_other_processes_end_with_the_first_one(tmp_path):
    status, _ = run_script(tmp_path, ORPHAN)
    assert status == -signal.SIGKILL
    end = time.monotonic() + 20
    while not (said := (tmp_path / "said.txt").read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    assert said.startswith("pvdm: error: process 0 of the run was killed (SIGKILL).")


def test_what_does_not_end_by_itself_is_ended(monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.3)
    started = [subprocess.Popen(["sh", "-c", text]) for text in ("exit 0", "sleep 60", "trap '' TERM; sleep 60 & wait")]
    time.sleep(0.3)
    monkeypatch.setattr(processes, "_children", list(started))
    processes.end_children(0.1)
    assert [process.returncode for process in started] == [0, -signal.SIGTERM, -signal.SIGKILL]
