"""The suite runs in two processes (pytest-xdist). Each keeps to one core, or they would wait for each other."""

import os

import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # also of the processes that tests start
    torch.set_num_threads(1)
