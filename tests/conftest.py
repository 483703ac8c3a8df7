"""The suite runs in two processes (pytest-xdist). Each keeps to one core, or they would wait for each other."""

import ctypes
import gc
import os
import sys
from pathlib import Path

import pytest

# Read when PyTorch's threads start, here and in the processes that tests start: idle ones sleep, they do not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # also of the processes that tests start

import torch

sys.path.insert(0, str(Path(__file__).parent))  # `warm`, also in the processes it starts

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def give_back_memory():
    """What the tests of a file freed goes back to the system; the command has the allocator keep it."""
    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
