"""Threads of a CPU that leave the cores to others while they wait."""

import os

SPIN_COUNT = "3000"
"""Turns of the waiting loop, some microseconds; by default some milliseconds."""
_BY_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def wait_briefly() -> None:
    """Make OpenMP's threads sleep after a short wait; call it before PyTorch is imported. A user's own choice stays.

    By default they spin for long, and where other processes are busy on the same cores each waits for the other: a step
    takes many times as long. Without any spinning, small networks take twice as long on idle cores.
    """
    if not any(name in os.environ for name in _BY_USER):
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
