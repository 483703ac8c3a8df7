"""A run that ends in time: its number of steps follows from how long they take."""

from __future__ import annotations

import logging
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.errors import InvalidArgumentError, check_numbers

logger = logging.getLogger(__name__)

WARMUP = 8
"""Steps that are not timed: the first ones allocate, index and start workers."""
EVERY = 32
"""Steps from one estimate of the end to the next: the learning rate then falls without a jump."""


class TimeBudget(Callback):
    """Shortens a run, so that it ends when its minutes are over; the learning rate falls towards the new end.

    The number of steps is estimated from the time of those before, validations included, every 32 steps. It is never
    more than `Trainer.max_steps`. A resumed run goes on to the end that was last estimated, unless `Trainer.max_steps`
    has changed.

    Args:
        minutes: From the first step to the last. Default: as long as `Trainer.max_steps` takes.
    """

    def __init__(self, minutes: float | None = None) -> None:
        check_numbers("TimeBudget", locals())
        if minutes is not None and not minutes > 0:
            raise InvalidArgumentError("TimeBudget.minutes", minutes, "is not positive", "Give minutes, such as 10.")
        self.minutes = minutes
        self._wanted, self._end = -1, -1  # max_steps as asked for, and as estimated; -1 is not yet
        self._started = 0.0
        self._first: tuple[int, float] | None = None  # the first step that is timed, and when it began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.minutes is None:
            return
        if trainer.max_steps < 0:
            problem = "shortens a run, whose number of steps is not set"
            raise InvalidArgumentError("TimeBudget.minutes", self.minutes, problem, "Set Trainer.max_steps.")
        self._started, self._first = time.monotonic(), None
        if trainer.max_steps != self._wanted:
            self._wanted, self._end = trainer.max_steps, -1
        if self._end >= 0:
            trainer.fit_loop.epoch_loop.max_steps = self._end

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self._first is None:
            if self.minutes is not None and self._end < 0 and step >= WARMUP:
                self._first = step, time.monotonic()
            return
        first, began = self._first
        if self.minutes is None or step % EVERY:
            return
        now = time.monotonic()
        left = self.minutes * 60 - (now - self._started)
        more = max(0, int(left * (step - first) / max(now - began, 1e-9)))
        # One clock for all processes, so that they end alike.
        end = trainer.strategy.broadcast(min(self._wanted, step + more))
        if step & (step - 1) == 0 and end != trainer.max_steps:
            logger.info("%g minutes are enough for %d of %d steps", self.minutes, end, self._wanted)
        self._end = trainer.fit_loop.epoch_loop.max_steps = end

    def state_dict(self) -> dict[str, Any]:
        return {"wanted": self._wanted, "end": self._end}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._wanted, self._end = state_dict["wanted"], state_dict["end"]
