"""Means over the clips of all processes."""

from __future__ import annotations

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor


class Means:
    """Sums and counts of several metrics over clips.

    A process may have no clip at all, if all of its videos are broken: means are taken after sums are reduced.

    Args:
        names: Of the metrics.
        device: Where they are computed.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device) -> None:
        self.names = names
        self._sums = torch.zeros(len(names), 2, device=device)

    def add(self, name: str, values: Tensor) -> None:
        """Add the values [B] of some clips."""
        self._sums[self.names.index(name)] += torch.stack([values.sum(), values.new_tensor(len(values))])

    def reduce(self, strategy: Strategy) -> dict[str, tuple[float, int]]:
        """Mean and number of clips over all processes, of each metric that has clips."""
        sums = strategy.reduce(self._sums, reduce_op="sum").tolist()
        return {name: (total / count, int(count)) for name, (total, count) in zip(self.names, sums) if count}
