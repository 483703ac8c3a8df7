"""Optimizers of the networks, and how the learning rate follows the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.training.muon import Muon, hidden_and_others

OptimizerName = Literal["adamw", "muon"]


def make_optimizer(
    name: OptimizerName,
    network: nn.Module,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool = True,
) -> torch.optim.Optimizer:
    """Build the optimizer of a network.

    Args:
        name: adamw, as in the paper, or muon.
        network: The one to train. For muon it says itself which of its layers stay with AdamW (`edge_layers`).
        learning_rate: The largest of the run.
        betas: Coefficients of AdamW.
        fused: Whether AdamW updates all weights in one kernel.
    """
    if name == "adamw":
        options: dict[str, Any] = {"lr": learning_rate, "betas": betas, "fused": fused}
        return torch.optim.AdamW(network.parameters(), **options)
    edges: Any = getattr(network, "edge_layers", ())
    hidden, others = hidden_and_others(network, edges)
    return Muon(hidden, others, learning_rate, betas)


@dataclass(frozen=True)
class WarmupDecay:
    """A learning rate that rises linearly from 0 over the first steps and falls linearly to 0 over the last ones.

    Args:
        learning_rate: Between both.
        warmup_steps: Steps of the rise; 0 is none.
        decay_steps: Steps of the fall, which ends with the run; 0 is none. A shorter run falls from its first step.

    Raises:
        InvalidArgumentError: A number is out of range.
    """

    learning_rate: float
    warmup_steps: int = 0
    decay_steps: int = 0

    def __post_init__(self) -> None:
        check_numbers("WarmupDecay", vars(self))
        if not self.learning_rate > 0:
            remedy = "Give a number above 0, as 1e-4."
            raise InvalidArgumentError("WarmupDecay.learning_rate", self.learning_rate, "is not positive", remedy)
        check_at_least("WarmupDecay.warmup_steps", self.warmup_steps, 0)
        check_at_least("WarmupDecay.decay_steps", self.decay_steps, 0)

    def check_end(self, max_steps: int) -> None:
        """Raise `InvalidArgumentError` if the rate is to fall towards an end that the run does not have."""
        if self.decay_steps and max_steps < 0:
            raise InvalidArgumentError(
                "WarmupDecay.decay_steps",
                self.decay_steps,
                "counts back from the run's last step, which is not set",
                "Set Trainer.max_steps, or WarmupDecay.decay_steps 0.",
            )

    def factor(self, step: int, max_steps: int) -> float:
        """The share of the learning rate, 0..1.

        Args:
            step: Optimizer steps done.
            max_steps: Steps of the run; not used without decay.
        """
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if not self.decay_steps:
            return rise
        return rise * min(1.0, max(0, max_steps - step) / max(1, min(self.decay_steps, max_steps)))
