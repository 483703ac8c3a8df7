"""Clips a second, over all processes."""

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Throughput(Callback):
    """Logs train/clips_per_second: training samples, waiting for data included, validation left out."""

    def __init__(self) -> None:
        self._clips, self._seconds, self._since = 0, 0.0, 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int
    ) -> None:
        now = time.perf_counter()
        self._clips += len(batch["clip"]) * trainer.world_size
        self._seconds += now - self._since
        self._since = now
        if (batch_idx + 1) % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            # The first batches, which warm up, fall out of the figure at the next one.
            pl_module.log("train/clips_per_second", self._clips / max(self._seconds, 1e-9), rank_zero_only=True)
            self._clips, self._seconds = 0, 0.0
