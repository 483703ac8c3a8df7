"""Exponential moving average of a network's weights (PVDM: 0.9999; samples are drawn with it)."""

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import InvalidArgumentError

Network = TypeVar("Network", bound=nn.Module)


class EMA(nn.Module, Generic[Network]):
    """A frozen copy of a network that follows its weights.

    The decay warms up as min(decay, (1 + n) / (10 + n)) over the updates n, so that early averages are not dominated
    by the first weights.

    Args:
        network: The one to follow.
        decay: Share of the old average that an update keeps, in the long run.
    """

    num_updates: Tensor

    def __init__(self, network: Network, decay: float = 0.9999) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise InvalidArgumentError("EMA.decay", decay, "is not a fraction", "Give 0 to 1, as 0.9999.")
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        # Known outside of the buffer, too: a GPU would have to be waited for in each step.
        self._known_updates: int | None = None
        self.last_decay = 0.0

    def train(self, mode: bool = True) -> "EMA[Network]":
        """Stays in evaluation mode."""
        return super().train(False)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._known_updates = None

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move towards the weights of `network`."""
        if self._known_updates is None:
            self._known_updates = int(self.num_updates)
        self._known_updates += 1
        self.num_updates += 1
        n = self._known_updates
        decay = self.last_decay = min(self.decay, (1 + n) / (10 + n))
        averages = [p.detach() for p in self.network.parameters()]
        weights = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - decay)
