"""The processes that share an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightning import Trainer


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work; by default it is alone.

    Attributes:
        rank: Its number.
        world_size: How many there are.
        broadcast: Gives all of them the first one's value; all must call it.
        barrier: Waits for all of them.
    """

    rank: int = 0
    world_size: int = 1
    broadcast: Callable[[Any], Any] = lambda value: value
    barrier: Callable[[], None] = lambda: None

    @classmethod
    def from_trainer(cls, trainer: Trainer) -> Processes:
        """The processes of a trainer."""
        strategy = trainer.strategy
        return cls(trainer.global_rank, trainer.world_size, strategy.broadcast, strategy.barrier)

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def share(self, numbers: list[int]) -> list[int]:
        """This process's part of a list that all of them have."""
        return numbers[self.rank :: self.world_size]
