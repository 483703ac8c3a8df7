"""Sections of what is measured on a GPU, their parts, and what a part is given."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.attention import SDPBackend

from pvdm_lightning.gpu import attention


@dataclass
class Proof:
    """What a part is given.

    Args:
        device: cpu or cuda.
        tiny: Toy sizes: every row is produced, none of its figures means anything.
        out: Folder for pictures and videos.
        deadline: Of this part, by time.monotonic.
        send: Takes the rows, as they come.
        kept: What earlier parts of the section built; see `once`.
    """

    device: str
    tiny: bool
    out: Path
    deadline: float
    send: Callable[[dict[str, Any]], None]
    kept: dict[str, Any] = field(default_factory=dict)

    def row(self, **figures: Any) -> None:
        """Report a row: a column's name and unit -> its figure, None for what was not measured."""
        self.send(figures)

    def left(self) -> float:
        """Seconds until the part is ended from outside."""
        return self.deadline - time.monotonic()

    def once(self, name: str, build: Callable[[], Any]) -> Any:
        """What `build` returns, built once for all parts of the section."""
        if name not in self.kept:
            self.kept[name] = build()
        return self.kept[name]

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def autocast(self) -> torch.autocast:
        """The precision of bf16-mixed."""
        return torch.autocast(self.device, torch.bfloat16)

    def synchronize(self) -> None:
        """Wait until the device has done what it was told."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def reset_memory(self) -> None:
        """Free what nobody holds any more, and measure the peak anew."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float | None:
        """GiB of the device's memory at the peak since `reset_memory`; None on a CPU."""
        return torch.cuda.max_memory_allocated() / 2**30 if self.on_gpu else None

    def seconds(self, run: Callable[[], Any], at_least: int = 3, budget: float = 1.0) -> float:
        """Mean seconds of one run, after one that does not count.

        Args:
            run: What is timed.
            at_least: Runs that count.
            budget: Seconds after which no more runs are added.
        """
        run()
        self.synchronize()
        count, started = 0, time.perf_counter()
        while count < at_least or time.perf_counter() - started < budget:
            run()
            count += 1
            self.synchronize()
            if self.tiny:
                break
        return (time.perf_counter() - started) / count


@dataclass(frozen=True)
class Part:
    """One thing that is measured: one that fails or takes too long leaves the others as they are.

    Args:
        name: As the report names it where it was not measured.
        seconds: Of eight minutes; what it does not use is left for those after it.
        run: Produces the rows.
    """

    name: str
    seconds: float
    run: Callable[[Proof], None]


@dataclass(frozen=True)
class Section:
    """A question, and the parts of its answer in order of worth.

    Args:
        name: In a word.
        title: A heading for the report.
        parts: They run in one process.
    """

    name: str
    title: str
    parts: Sequence[Part]


def product_rate(proof: Proof, dtype: torch.dtype = torch.bfloat16) -> float:
    """TFLOP/s of a large product of random matrices."""
    size = 256 if proof.tiny else 8192
    a, b = torch.randn(2, size, size, device=proof.device).to(dtype)
    return 2 * size**3 / proof.seconds(lambda: a @ b, at_least=20, budget=0.3) / 1e12


def attention_by(backend: str | None, proof: Proof) -> AbstractContextManager[Any]:
    """A context in which our kernels take attention from one SDPBackend; None leaves the choice to PyTorch."""
    chosen = [] if backend is None else [SDPBackend.__members__[backend]]
    return patch.object(attention, "preferred_backends", lambda *_: chosen)
