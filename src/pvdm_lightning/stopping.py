"""Signals that end a command while nothing needs saving: before its modules are imported, and after its work."""

# Imports of a millisecond alone: until `__main__` has called `end_at_once_on_signals`, Ctrl-C ends in a stack trace.
import atexit
import contextlib
import os
import signal
import sys

SIGNALS = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted", signal.SIGUSR1: "ended by SIGUSR1"}
"""Signals that end a command, and what it says then."""
_RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID")


def end_at_once_on_signals() -> None:
    """Have each of `SIGNALS` end the process in one line, with an exit status of 128 and its number."""
    for signum in SIGNALS:
        signal.signal(signum, lambda number, _: end_at_once(number))
    # The last thing to run before the interpreter takes its handlers back; another signal would change the status.
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def end_at_once(signum: int) -> None:
    """End the process in one line."""
    with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
        sys.stdout.flush()
    say(stopped_line(signum))
    os._exit(128 + signum)


def say(line: str) -> None:
    """Write a line to stderr, from any thread; of several processes that share the work the first alone does."""
    if is_first_process():
        with contextlib.suppress(OSError):
            os.write(2, f"pvdm: {line}\n".encode(errors="backslashreplace"))


def stopped_line(signum: int) -> str:
    """What a command says that a signal ended."""
    return SIGNALS.get(signal.Signals(signum), f"ended by signal {signum}")


def is_first_process() -> bool:
    """Whether this process is the first of those that share the work, by the variables that launchers set."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)
