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
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pvdm_lightning.cpu.onednn import through_onednn
from pvdm_lightning.cpu.processor import uses_onednn

# As the command sets them (pvdm_lightning.cpu.memory), and from the start of the process: for both sides.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32), "THP_MEM_ALLOC_ENABLE": "1"}
_PRODUCTS = 8
WARM_UP = 2  # runs until the heap has found its size; what the first two fetch from the system, later ones find
LABEL = 52  # characters of a row's name
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
    options.set_defaults(device="cpu", precision="32-true")
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
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})


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
    """Time the runs A B A B ... in this process, after WARM_UP of each that do not count."""
    _release()
    timings = {name: Timing([], 0.0) for name in runs}
    for repeat in range(-WARM_UP, repeats):
        for name, run in runs.items():
            seconds, peak = timed(run, cpu_time)
            if repeat >= 0:
                timings[name].seconds.append(seconds)
                timings[name].peak = max(timings[name].peak, peak)
    return timings


def timed(run: Callable[[], Any], cpu_time: bool) -> tuple[float, float]:
    """Seconds of one run, and the largest memory during it in GiB."""
    clock = time.process_time if cpu_time else time.perf_counter
    _reset_peak()
    started = clock()
    run()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return clock() - started, _peak()


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


def _side(args: argparse.Namespace) -> int:
    """Rows and columns of the matrices of a large product."""
    return 128 if args.quick else 2048 if args.device == "cpu" else 8192


def _work(args: argparse.Namespace) -> float:
    """GFLOP of a large product."""
    return 2 * _side(args) ** 3 / 1e9


def _products(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """The ways to compute a large product; on a CPU they take different libraries."""
    dtype = torch.bfloat16 if _mixed(args) else torch.float32
    size = _side(args)
    a, b = torch.randn(2, size, size, device=args.device, dtype=dtype)
    image, kernel = a.view(1, size, -1, 64), b[:, :, None, None]
    runs: dict[str, Callable[[], Any]] = {"product": lambda: a @ b, "convolution": lambda: torch.conv2d(image, kernel)}
    if args.device == "cpu" and dtype == torch.float32 and uses_onednn():

        def other() -> Tensor:
            with through_onednn():
                return a @ b

        runs["product of oneDNN"] = other
    return runs


def matmul_rate(args: argparse.Namespace, repeats: int = 5) -> float:
    """The best rate of this machine in GFLOP/s, over the ways to compute a large product."""
    timings = in_turn(_products(args), repeats, args.cpu_time)
    return max(_work(args) / min(timing.seconds) for timing in timings.values())


def product_work(args: argparse.Namespace) -> float:
    """GFLOP of `fastest_products`."""
    return _PRODUCTS * _work(args)


def fastest_products(args: argparse.Namespace) -> Callable[[], Any]:
    """Several products of `matmul_rate`; one alone is too short to time."""
    runs = _products(args)
    timings = in_turn(runs, 3, args.cpu_time)
    fastest = runs[min(timings, key=lambda name: min(timings[name].seconds))]

    def products() -> None:
        for _ in range(_PRODUCTS):
            fastest()

    return products


def flops(build: Callable[[], Callable[[], Any]]) -> dict[str, dict[Any, int]]:
    """FLOP of one run of what `build` returns, by module ("Global": all) and operation; tensors are fake.

    A convolution counts as it is written: stand-ins are not computed in fewer multiplications.
    """
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
        run = build()
        with FlopCounterMode(display=False) as counter:
            run()
    return counter.get_flop_counts()


def gflop(build: Callable[[], Callable[[], Any]]) -> float:
    """GFLOP of one run of what `build` returns; nothing is computed."""
    return sum(flops(build)["Global"].values()) / 1e9


def header(args: argparse.Namespace) -> None:
    """How the machine and our side are set, and what the columns of `line` are."""
    of = f"{torch.get_num_threads()} threads" if args.device == "cpu" else torch.cuda.get_device_name(args.device)
    how = f"ours in {args.precision}{', compiled' if args.compile else ''}, batch {args.batch_size}"
    kind = "bfloat16" if _mixed(args) else "float32"
    say(f"{kind} rate of this machine: {matmul_rate(args):.0f} GFLOP/s, {of}; {how}\n")
    say("of rate: beside the median of a large product that took its turn between the runs of the row\n\n")
    say(f"{'':{LABEL}s}{'seconds':>9s}{'spread':>8s}{'GiB':>7s}{'GFLOP':>9s}{'of rate':>9s}")
    say(f"{'reference':>11s}{'spread':>8s}{'GiB':>7s}{'ratio':>7s}\n")


def line(what: str, timings: dict[str, Timing], work: float, rate: float) -> None:
    """One row: ours, and the reference's seconds and the ratio where it was run."""
    ours, reference = timings["ours"], timings.get("reference")
    share = work / ours.median / rate
    row = f"{what:{LABEL}s}{ours.median:9.3f}{ours.spread:8.0%}{ours.peak:7.2f}{work:9.0f}{share:9.0%}"
    if reference is not None:
        row += f"{reference.median:11.3f}{reference.spread:8.0%}{reference.peak:7.2f}"
        row += f"{reference.median / ours.median:6.2f}x"
    say(row + "\n")
    sys.stdout.flush()


def short(number: float | None) -> str:
    """Three digits or so; a dash for what was not measured."""
    return "-" if number is None else f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f}"
