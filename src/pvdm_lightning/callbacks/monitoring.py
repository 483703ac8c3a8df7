"""What a run costs, in its log: throughput, memory, FLOPs, and the norms of weights."""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.nn.utils import get_total_norm
from torch.utils.flop_counter import FlopCounterMode

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]


def peak_memory(device: torch.device) -> int:
    """Bytes: allocated on a GPU, resident of the process on a CPU; 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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


PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "RTX 4090": 165.0}
"""Dense 16-bit peaks of the makers' data sheets, by a part of the device's name; the PCIe and NVL variants of the H100
have less."""
COUNTED = 2
"""The step whose FLOPs are counted: the first ones also measure and allocate."""


class Utilization(Callback):
    """Logs train/tflops_per_second and, on a GPU whose peak is known, train/mfu (PaLM, appendix B).

    The FLOPs of matrix products and convolutions, forward and backward, are counted once, in one step; in stage one
    that is a step without discriminators, in which nothing compiled runs. Sharded networks and a CPU, whose own kernels
    are no operators that are counted, are left out.

    Args:
        peak_tflops: Peak of the device in TFLOP/s; None looks its name up.
    """

    def __init__(self, peak_tflops: float | None = None) -> None:
        self.peak_tflops = peak_tflops
        self._counter: FlopCounterMode | None = None
        self._counting = ExitStack()
        self._flops: float | None = None
        self._batches = 0
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = 0
        if self.peak_tflops is None and pl_module.device.type == "cuda" and str(trainer.precision) != "32-true":
            name = torch.cuda.get_device_name(pl_module.device)
            self.peak_tflops = next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batches += 1
        sharded = type(trainer.strategy).__name__ in ("FSDPStrategy", "ModelParallelStrategy")
        on_gpu = pl_module.device.type == "cuda" or self.peak_tflops is not None
        if self._batches == COUNTED and on_gpu and not sharded:
            # What is compiled would be compiled once more, for tensors that are counted.
            self._counting.enter_context(torch.compiler.set_stance("force_eager"))
            self._counter = self._counting.enter_context(FlopCounterMode(display=False))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._counter is not None:
            self._counting.close()
            self._flops, self._counter = float(self._counter.get_total_flops()), None
            self._since, self._batches = time.perf_counter(), COUNTED
            return
        if self._flops is None or not trainer._logger_connector.should_update_logs:
            return
        now = time.perf_counter()
        tflops = self._flops * (self._batches - COUNTED) / max(now - self._since, 1e-9) / 1e12
        self._since, self._batches = now, COUNTED
        values = {"train/tflops_per_second": tflops}
        if self.peak_tflops is not None:
            values["train/mfu"] = tflops / self.peak_tflops
        pl_module.log_dict({name: torch.tensor(value) for name, value in values.items()}, rank_zero_only=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()
        if self._flops is not None:
            self._batches = COUNTED

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._counting.close()
        self._counter = None


class WeightNorms(Callback):
    """Logs the norm of each trained network's weights where the log has an entry anyway."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer._logger_connector.should_update_logs:
            return
        for name, network in networks_of(pl_module).items():
            if not any(weight.requires_grad for weight in network.parameters()):
                continue
            norm = get_total_norm([weight.detach() for weight in network.parameters()])
            pl_module.log(f"weights/{name}", norm)


def networks_of(module: LightningModule) -> dict[str, nn.Module]:
    """The networks of a module by name; those of its loss count as its own."""
    children = dict(module.named_children())
    loss = children.pop("loss", None)
    return children | (dict(loss.named_children()) if loss is not None else {})
