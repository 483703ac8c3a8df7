"""Runs that take turns: their seconds and peak memory, and the rate that this machine reaches in large products."""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.cpu.onednn import through_onednn
from pvdm_lightning.cpu.processor import uses_onednn
from pvdm_lightning.errors import check_at_least

WARM_UP = 2  # runs until the heap has found its size; what the first two fetch from the system, later ones find
_PRODUCTS = 8


def say(text: str) -> None:
    """Print at once, as rows are measured."""
    sys.stdout.write(text)
    sys.stdout.flush()


def add_timing_options(options: argparse.ArgumentParser, repeats: int) -> None:
    """The options of benchmarks that time runs in turn."""
    options.add_argument("--repeats", type=int, default=repeats, help="timed runs of each; the median counts")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, not how fast")
    options.set_defaults(device="cpu", precision="32-true")


def apply_timing_options(args: argparse.Namespace) -> None:
    """Check them, and set the number of threads."""
    check_at_least("--repeats", args.repeats, 1)
    check_at_least("--threads", args.threads, 1)
    torch.set_num_threads(args.threads)


def autocast(function: Callable[..., Any], args: argparse.Namespace) -> Callable[..., Any]:
    """`function` in --precision."""
    return torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=is_mixed(args))(function)


def is_mixed(args: argparse.Namespace) -> bool:
    """Whether --precision is bf16-mixed."""
    return bool(args.precision == "bf16-mixed")


@dataclass
class Timing:
    """Seconds of repeated runs, and the largest memory during one, in GiB."""

    seconds: list[float]
    peak: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    def add(self, seconds: float, peak: float) -> None:
        """Count one more run."""
        self.seconds.append(seconds)
        self.peak = max(self.peak, peak)


def in_turn(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Timing]:
    """Time the runs A B A B ... in this process, after WARM_UP of each that do not count."""
    _release()
    timings = {name: Timing([], 0.0) for name in runs}
    for repeat in range(-WARM_UP, repeats):
        for name, run in runs.items():
            measured = timed(run)
            if repeat >= 0:
                timings[name].add(*measured)
    return timings


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of one run, and the largest memory during it in GiB."""
    _reset_peak()
    started = time.perf_counter()
    run()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - started, _peak()


def _release() -> None:
    """Give back what earlier runs left in the allocator, so that it does not add to the memory of these."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _reset_peak() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def _peak() -> float:
    """Largest memory since the last reset, GiB: of the GPU in use, or resident; NaN where the system does not say."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("VmHWM")), float("nan"))


def _side(args: argparse.Namespace) -> int:
    """Rows and columns of the matrices of a large product."""
    return 128 if args.quick else 2048 if args.device == "cpu" else 8192


def _ways(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """The ways to compute a large product; on a CPU they take different libraries."""
    dtype, size = torch.bfloat16 if is_mixed(args) else torch.float32, _side(args)
    a, b = torch.randn(2, size, size, device=args.device, dtype=dtype)
    image, kernel = a.view(1, size, -1, 64), b[:, :, None, None]
    runs: dict[str, Callable[[], Any]] = {"product": lambda: a @ b, "convolution": lambda: torch.conv2d(image, kernel)}
    if args.device == "cpu" and dtype == torch.float32 and uses_onednn():

        def onednn() -> Tensor:
            with through_onednn():
                return a @ b

        runs["product of oneDNN"] = onednn
    return runs


def product_work(args: argparse.Namespace) -> float:
    """GFLOP of `fastest_products`."""
    return _PRODUCTS * 2 * _side(args) ** 3 / 1e9


def fastest_products(args: argparse.Namespace) -> Callable[[], Any]:
    """Several large products in the fastest of the ways; one alone is too short to time."""
    runs = _ways(args)
    timings = in_turn(runs, 3)
    fastest = runs[min(timings, key=lambda name: min(timings[name].seconds))]
    return lambda: [fastest() for _ in range(_PRODUCTS)]


def short(number: float | None) -> str:
    """Three digits or so; a dash for what was not measured."""
    return "-" if number is None else f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}"
