"""What the benchmarks share: alternating runs, their medians, peak memory, and the machine's own rate."""

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
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

# As the command sets them (pvdm_lightning.cpu_memory), and from the start of the process: for both sides.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32), "THP_MEM_ALLOC_ENABLE": "1"}
say = sys.stdout.write


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks of speed have."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="timed runs of each; the median counts")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, not how fast")
    options.add_argument(
        "--cpu-time", action="store_true", help="seconds of the process, not of the clock (one thread)"
    )
    return options


def add_device_options(options: argparse.ArgumentParser) -> None:
    """Where both sides run, and how ours does; the original runs as published, in float32 and as written."""
    options.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1; on a GPU the memory is that of the GPU")
    options.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true", help="of our side")


def cast(function: Callable[..., Any], args: argparse.Namespace) -> Callable[..., Any]:
    """Our side's `function` in --precision."""
    return torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=_mixed(args))(function)


def _mixed(args: argparse.Namespace) -> bool:
    return bool(args.precision == "bf16-mixed")


def keep_memory() -> None:
    """Start this process again so that it keeps freed blocks and takes large pages: a third of the time goes there."""
    if any(os.environ.get(name) != value for name, value in _MEMORY.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_MEMORY})


@dataclass
class Timing:
    """Seconds of repeated runs, and the largest resident memory during one, in GiB."""

    seconds: list[float]
    peak: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def in_turn(runs: dict[str, Callable[[], Any]], repeats: int, cpu_time: bool = False) -> dict[str, Timing]:
    """Time the runs A B A B ..., after one of each that does not count."""
    clock = time.process_time if cpu_time else time.perf_counter
    _release()
    timings = {name: Timing([], 0.0) for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            _reset_peak()
            started = clock()
            run()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            seconds = clock() - started
            if repeat:
                timings[name].seconds.append(seconds)
                timings[name].peak = max(timings[name].peak, _peak())
    return timings


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
    """Largest memory since the last reset, GiB: of the GPU in use, or resident; not a number if nobody says."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**30
    return _of_proc("self/status", "VmHWM")


def free_memory() -> float:
    """What the system could still give this process and what it holds, GiB; not a number where it does not say."""
    return _of_proc("meminfo", "MemAvailable") + _of_proc("self/status", "VmRSS")


def _of_proc(file: str, field: str) -> float:
    path = Path("/proc") / file
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith(field)), float("nan"))


def matmul_rate(
    args: argparse.Namespace, device: str = "cpu", dtype: torch.dtype = torch.float32, repeats: int = 5
) -> float:
    """The best rate of this machine in GFLOP/s: of a matrix product and of a 1 x 1 convolution, the faster.

    The two take different libraries on a CPU, and which is faster differs from processor to processor.
    """
    size = 512 if args.quick else 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    image, kernel = a.view(1, size, -1, 64), b[:, :, None, None]
    runs = {"product": lambda: a @ b, "convolution": lambda: torch.conv2d(image, kernel)}
    timings = in_turn(runs, repeats, args.cpu_time)
    return max(2 * size**3 / min(timing.seconds) / 1e9 for timing in timings.values())


def flops(build: Callable[[], Callable[[], Any]]) -> dict[str, dict[Any, int]]:
    """FLOP of one run of what `build` returns, by module ("Global": all) and operation; tensors are fake."""
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
        run = build()
        with FlopCounterMode(display=False) as counter:
            run()
    return counter.get_flop_counts()


def gflop(build: Callable[[], Callable[[], Any]]) -> float:
    """GFLOP of one run of what `build` returns; nothing is computed."""
    return sum(flops(build)["Global"].values()) / 1e9


def header(args: argparse.Namespace) -> float:
    """What the table's columns are, under the rate that is returned, GFLOP/s."""
    rate = matmul_rate(args, args.device, torch.bfloat16 if _mixed(args) else torch.float32)
    of = f"{torch.get_num_threads()} threads" if args.device == "cpu" else torch.cuda.get_device_name(args.device)
    how = f"ours in {args.precision}{', compiled' if args.compile else ''}, batch {args.batch_size}"
    say(f"{'bfloat16' if _mixed(args) else 'float32'} rate of this machine: {rate:.0f} GFLOP/s, {of}; {how}\n\n")
    say(
        f"{'':38s}{'seconds':>9s}{'spread':>8s}{'GiB':>7s}{'GFLOP':>9s}{'of rate':>9s}{'reference':>11s}{'ratio':>7s}\n"
    )
    return rate


def line(what: str, timings: dict[str, Timing], work: float, rate: float) -> None:
    """One row: ours, and the reference's seconds and the ratio where it was run."""
    ours, reference = timings["ours"], timings.get("reference")
    share = work / ours.median / rate
    row = f"{what:38s}{ours.median:9.3f}{ours.spread:8.0%}{ours.peak:7.2f}{work:9.0f}{share:9.0%}"
    if reference is not None:
        row += f"{reference.median:11.3f}{reference.median / ours.median:6.2f}x"
    say(row + "\n")
    sys.stdout.flush()


def short(number: float | None) -> str:
    """Three digits or so; a dash for what was not measured."""
    return "-" if number is None else f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}"
