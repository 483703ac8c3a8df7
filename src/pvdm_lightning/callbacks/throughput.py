"""How fast training is, and what it waits for."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.callbacks.memory import peak_memory


class _Batch(NamedTuple):
    clips: int
    seconds: float
    waited: float


class Throughput(Callback):
    """Logs clips per second over all processes, the share of time spent waiting for data, and peak memory.

    Validation does not count. Means are of the last `log_every_n_steps` batches, so that warm-up batches drop out.
    """

    def __init__(self) -> None:
        self._since = self._arrived = 0.0
        self._batches: deque[_Batch] = deque()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = deque(maxlen=max(1, trainer.log_every_n_steps))  # type: ignore[attr-defined]
        self._since = time.perf_counter()  # a run that goes on within an epoch does not start that again

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._arrived = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int
    ) -> None:
        now = time.perf_counter()
        clips = len(batch["clip"]) * trainer.world_size
        self._batches.append(_Batch(clips, now - self._since, self._arrived - self._since))
        self._since = now
        seconds = max(sum(batch.seconds for batch in self._batches), 1e-9)
        values = {
            "train/clips_per_second": sum(batch.clips for batch in self._batches) / seconds,
            "system/data_wait_share": sum(batch.waited for batch in self._batches) / seconds,
            "system/peak_memory_gib": peak_memory(pl_module.device) / 2**30,
        }
        # Logged with every batch: Lightning picks those that it writes, by a count that a resumed run goes on with.
        # As tensors they stay on the host: a number would be sent to the GPU, which then is waited for.
        pl_module.log_dict({name: torch.tensor(value) for name, value in values.items()}, rank_zero_only=True)
