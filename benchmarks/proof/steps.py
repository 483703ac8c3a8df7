"""Times training steps of the project's own modules, run by Lightning as `pvdm fit` runs them."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.data import IterableDataset

from proof.section import Proof

Batch = dict[str, torch.Tensor]
WARM_UP = 3
LEAST, MOST = 6, 200  # steps that count


@dataclass
class Steps:
    """What some training steps took.

    Args:
        first: Seconds of the first step, which compiles if anything does.
        seconds: Of a later step, on average.
        peak: GiB of the device's memory; None on a CPU.
        count: Steps that were averaged.
    """

    first: float
    seconds: float
    peak: float | None
    count: int


class _Repeated(IterableDataset[Batch]):
    """The same batch for ever: what is timed is the step, not the data."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.batch


class _Stopwatch(Callback):
    def __init__(self, proof: Proof, budget: float, pairs: bool) -> None:
        self.proof, self.budget = proof, budget
        self.step = 2 if pairs else 1  # turns that make a step
        self.first = self.started = self.ended = 0.0
        self.warm = 1 if proof.tiny else WARM_UP
        self.least = 1 if proof.tiny else LEAST
        self.count = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        warm = self.warm * self.step
        if done == 1:
            self.proof.synchronize()
            self.first = time.perf_counter() - self.started
        if done == warm:
            self.proof.synchronize()
            self.started = time.perf_counter()
        counted = done - warm
        if counted > 0 and counted % self.step == 0:
            # The clock runs ahead of the device, whose queue is waited for at the end alone.
            over = time.perf_counter() - self.started > self.budget
            if counted // self.step >= self.least and (over or counted >= MOST or self.proof.tiny):
                self.proof.synchronize()
                self.ended, self.count = time.perf_counter(), counted // self.step
                trainer.should_stop = True


def train(proof: Proof, module: LightningModule, batch: Batch, budget: float = 4.0, pairs: bool = False) -> Steps:
    """Fit `module` on one batch again and again, in bf16-mixed.

    Args:
        proof: Where.
        module: Trained as it is.
        batch: On the CPU, as a loader gives it.
        budget: Seconds of steps that count.
        pairs: Average over pairs of steps, where two kinds take turns.

    Raises:
        torch.OutOfMemoryError: It does not fit.
    """
    quieten()
    stopwatch = _Stopwatch(proof, budget, pairs)
    proof.reset_memory()
    trainer = Trainer(
        accelerator="gpu" if proof.on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed",
        max_steps=-1,
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        callbacks=[stopwatch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module.train()
    pinned = {name: value.pin_memory() if proof.on_gpu else value for name, value in batch.items()}
    trainer.fit(module, _Repeated(pinned))  # type: ignore[arg-type]
    peak = proof.peak()
    return Steps(stopwatch.first, (stopwatch.ended - stopwatch.started) / stopwatch.count, peak, stopwatch.count)


def quieten() -> None:
    """Lightning's advice is for those who train."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*in eval mode.*", ".*no `val_dataloader`.*", ".*treespec.*"):
        warnings.filterwarnings("ignore", message=message)


def table_row(
    proof: Proof,
    what: str,
    mode: str,
    batch: int,
    steps: Steps,
    tflop: float | None,
    rate: float,
    predicted: float | None,
) -> None:
    """A row with the step's time, its memory beside the prediction, and its share of the device's rate."""
    share = None if steps.peak is None or predicted is None else steps.peak / predicted - 1
    proof.row(
        **{
            "step": what,
            "mode": mode,
            "batch": batch,
            "s a step": steps.seconds,
            "clips/s": batch / steps.seconds,
            "MFU %": None if tflop is None else 100 * tflop / steps.seconds / rate,
            "peak GiB": steps.peak,
            "predicted GiB": predicted,
            "off %": None if share is None else 100 * share,
            "first step s": steps.first,
        }
    )
