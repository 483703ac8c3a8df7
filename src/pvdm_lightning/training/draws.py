"""Random draws of a training step that follow from (seed, process, step, batch) alone.

So a resumed run goes on with the very same draws, and two processes never share them. Numbers are drawn on the CPU and
moved, so a GPU sees the same ones.
"""

import os

import numpy as np
import torch


def run_seed() -> int:
    """The seed of the run, --seed_everything; Lightning keeps it in the environment for all processes."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def generator_of(*key: int) -> torch.Generator:
    """A CPU generator that depends on `key` alone; keys that differ anywhere give unrelated numbers."""
    state = np.random.SeedSequence(key).generate_state(1, dtype=np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
