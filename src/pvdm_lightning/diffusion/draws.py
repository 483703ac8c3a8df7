"""Normal draws that do not depend on the device, nor on how videos are put into batches."""

from collections.abc import Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator] | None


def normal(shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
    """Standard normal float32 tensor of `shape` on `device`.

    Args:
        shape: (B, ...).
        generator: One generator for the whole batch, or one for each of its B samples, so that a sample's draws are
            its own whatever the batch it is in; None uses torch's global one. Numbers are drawn on the generator's
            device and moved, so a CPU generator gives the same numbers for any device.
        device: Where the result lies.

    Raises:
        ValueError: A sequence of generators has another length than the batch.
    """
    if generator is None:
        return torch.randn(shape, device=device)
    if isinstance(generator, torch.Generator):
        return torch.randn(shape, generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for a batch of {shape[0]}")
    return torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in generator]).to(device)
