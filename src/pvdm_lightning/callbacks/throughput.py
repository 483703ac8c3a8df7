"""Clips per second, over all processes."""

import time
from collections import deque
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Logs train/clips_per_second of training, including the time spent waiting for data, without validation.

    It covers the last `log_every_n_steps` batches, so that warm-up batches drop out.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._batches: deque[tuple[int, float]] = deque()  # clips and seconds of each

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = deque(maxlen=max(1, trainer.log_every_n_steps))  # type: ignore[attr-defined]
        self._since = time.perf_counter()  # a run that goes on within an epoch does not start that again

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self._batches.append((len(batch["clip"]) * trainer.world_size, now - self._since))
        self._since = now
        clips, seconds = (sum(column) for column in zip(*self._batches))
        # Logged with every batch: Lightning picks those that it writes, by a count that a resumed run goes on with.
        # As a tensor it stays on the host: a number would be sent to the GPU, which then is waited for.
        pl_module.log("train/clips_per_second", torch.tensor(clips / max(seconds, 1e-9)), rank_zero_only=True)
