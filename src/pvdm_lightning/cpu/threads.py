"""Threads of a CPU that leave the cores to others while they wait."""

import os


def wait_passively() -> None:
    """Make OpenMP's threads sleep while they wait; call it before PyTorch is imported. A user's own choice stays.

    By default they spin, and where other processes are busy on the same cores each waits for the other: a step takes
    many times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
