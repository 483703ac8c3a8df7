"""Random numbers that depend neither on the device, nor on how samples are put into batches, nor on a resume."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator] | None


def run_seed() -> int:
    """The seed of the run (`--seed_everything`), which Lightning keeps in the environment for all processes."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def make_generator(*key: int) -> torch.Generator:
    """A CPU generator seeded by `key` alone; keys that differ anywhere give unrelated numbers.

    Training steps use (seed, step, batch, number of the sample): a resumed run continues with the same numbers, and
    they do not depend on the process that a sample is in.
    """
    state = np.random.SeedSequence(key).generate_state(1, dtype=np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


def sample_generators(batch: int, step: int, indices: Tensor) -> list[torch.Generator]:
    """The generator of each sample in a training step of the run.

    Args:
        batch: Number of the batch in its epoch.
        step: Optimizer steps so far.
        indices: int64 [B] on the CPU, the numbers of the samples.
    """
    return [make_generator(run_seed(), step, batch, index) for index in indices.tolist()]


def rand(shape: tuple[int, ...], generator: Generators) -> Tensor:
    """Uniform float32 tensor in [0, 1) of `shape` on the generator's device; arguments as of `randn`."""
    if generator is None or isinstance(generator, torch.Generator):
        device = generator.device if generator is not None else None
        return torch.rand(shape, generator=generator, device=device)
    return torch.stack([torch.rand(shape[1:], generator=g, device=g.device) for g in generator])


def randint(high: int, size: int, generator: Generators) -> Tensor:
    """Whole numbers int64 [size] below `high`; the generator as of `randn`."""
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randint(high, (size,), generator=generator)
    return torch.cat([torch.randint(high, (1,), generator=g) for g in generator])


def randn(shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
    """Standard normal float32 tensor of `shape` on `device`.

    Args:
        shape: (B, ...).
        generator: One generator for the whole batch, or one per sample, so that a sample's numbers do not depend on
            the batch it is in; None uses torch's global one. Numbers are drawn on the generator's device and moved, so
            that a CPU generator gives the same numbers for every device.
        device: Device of the result.

    Raises:
        ValueError: The number of generators is not the batch size.
    """
    if generator is None:
        return torch.randn(shape, device=device)
    if isinstance(generator, torch.Generator):
        return torch.randn(shape, generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for a batch of {shape[0]}")
    return torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in generator]).to(device)
