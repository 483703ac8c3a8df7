"""Both sides of a comparison, each in a process of its own with a heap of its own; they take turns."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from benchmarks.timing import WARM_UP, Timing, fastest_products, in_turn, product_work, say, timed

Runs = Callable[[argparse.Namespace], Mapping[str, Callable[[], Any]]]
"""Builds what one side runs, by name; called in the side's process, so a function of a module."""
PRODUCT = "matrix product"
# As the command sets them (pvdm_lightning.cpu.memory), and from the start of the process: for both sides.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32), "THP_MEM_ALLOC_ENABLE": "1"}
LABEL = 52  # characters of a row's name


class Side:
    """A process that builds what one side runs, and runs one of it at a time when it is told to.

    Args:
        runs: Builds what the side runs.
        args: The benchmark's options; `runs` gets them.
        as_it_comes: Without the settings that keep freed memory and take large pages.
    """

    def __init__(self, runs: Runs, args: argparse.Namespace, as_it_comes: bool = False) -> None:
        self._runs, self._args, self._as_it_comes = runs, args, as_it_comes
        self._process: BaseProcess | None = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._runs, self._args), daemon=True)
        with _environment(() if self._as_it_comes else ALLOCATOR):
            self._process.start()
        other.close()

    def run(self, what: str) -> tuple[float, float]:
        """Seconds and peak memory in GiB.

        Raises:
            torch.OutOfMemoryError: it does not fit into the memory of the GPU.
        """
        if self._process is None:
            self._start()
        assert self._process is not None
        try:
            self._connection.send(what)
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            sys.exit(
                f"{what}: a side ended, code {self._process.exitcode}; -9 says that both do not fit into the memory"
            )
        if isinstance(answer, str):
            raise torch.OutOfMemoryError(answer)
        seconds, peak = answer
        return seconds, peak

    def close(self) -> None:
        """End the process; the next run starts another."""
        if self._process is not None:
            self._connection.close()
            self._process.join()
            self._process = None


@contextmanager
def _environment(kept: Mapping[str, str] | tuple[()]) -> Iterator[None]:
    """The allocator's variables as `kept` has them, and none that it lacks."""
    before = dict(os.environ)
    for name in ALLOCATOR:
        os.environ.pop(name, None)
    os.environ.update(kept)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(connection: Connection, build: Runs, args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    runs = {**build(args)}
    while True:
        try:
            what = connection.recv()
        except EOFError:
            return
        if what == PRODUCT and what not in runs:
            runs[what] = fastest_products(args)
        try:
            connection.send(timed(runs[what]))
        except torch.OutOfMemoryError as error:
            connection.send(str(error))


def take_turns(sides: Mapping[str, Side], what: str, repeats: int, apart: bool = False) -> dict[str, Timing]:
    """Time what each side runs under a name, A B A B ..., with a product of ours in between.

    Args:
        sides: By name; one is called "ours".
        what: The name.
        repeats: Runs of each that count, after WARM_UP that do not.
        apart: End a side's process after each of its turns, which then begins with a warm-up: for what does not fit
            into the memory beside each other.
    """
    timings = {name: Timing([], 0.0) for name in (*sides, PRODUCT)}

    def turn(side: Side, name: str, piece: str, counts: bool) -> None:
        measured = side.run(piece)
        if counts:
            timings[name].add(*measured)

    once, each_turn = (0, WARM_UP) if apart else (WARM_UP, 0)
    for repeat in range(-once, repeats):
        for name, side in sides.items():
            for _ in range(each_turn):
                side.run(what)
            turn(side, name, what, repeat >= 0)
            if name == "ours":
                turn(side, PRODUCT, PRODUCT, repeat >= 0)
            if apart:
                side.close()
    return timings


def print_rows(
    title: str,
    ours: Runs,
    original: Runs | None,
    work: Mapping[str, float],
    args: argparse.Namespace,
    apart: Collection[str] = (),
    alone: Collection[str] = (),
    as_it_comes: Collection[str] = (),
) -> None:
    """Print a row for each name, then those `as_it_comes` again beside the original with the system's allocator.

    Args:
        title: Before the names.
        ours: Our side, whose settings of the allocator `pvdm` makes itself.
        original: The other side, or none.
        work: GFLOP of ours by name, in the order of the rows.
        args: The benchmark's options.
        apart: Names that do not fit into memory beside each other.
        alone: Names that the original lacks.
        as_it_comes: Names to print twice.
    """

    def rows(sides: Mapping[str, Side], names: Collection[str], ending: str) -> None:
        for what in names:
            if what in apart:
                for side in sides.values():
                    side.close()
            turns = {name: side for name, side in sides.items() if name == "ours" or what not in alone}
            label = f"{title}{what}{ending}"
            try:
                timings = take_turns(turns, what, args.repeats, apart=what in apart)
                _row(label, timings, work[what], product_work(args) / timings[PRODUCT].median)
            except torch.OutOfMemoryError:
                say(f"{label:{LABEL}s} does not fit into the memory of the GPU\n")
        for side in sides.values():
            side.close()

    if original is None:
        rows({"ours": Side(ours, args)}, work, "")
        return
    rows({"ours": Side(ours, args), "reference": Side(original, args)}, work, "")
    if args.device == "cpu":
        beside = {"ours": Side(ours, args), "reference": Side(original, args, as_it_comes=True)}
        rows(beside, as_it_comes, ", as it comes")


def print_header(args: argparse.Namespace) -> None:
    """Print how the machine and our side are set, and what the columns of the rows are."""
    of = f"{torch.get_num_threads()} threads" if args.device == "cpu" else torch.cuda.get_device_name(args.device)
    how = f"ours in {args.precision}{', compiled' if args.compile else ''}, batch {args.batch_size}"
    kind = "bfloat16" if args.precision == "bf16-mixed" else "float32"
    fastest = in_turn({PRODUCT: fastest_products(args)}, 3)[PRODUCT]
    say(f"{kind} rate of this machine: {product_work(args) / min(fastest.seconds):.0f} GFLOP/s, {of}; {how}\n")
    say("of rate: beside the median of a large product that took its turn between the runs of the row\n\n")
    say(f"{'':{LABEL}s}{'seconds':>9s}{'spread':>8s}{'GiB':>7s}{'GFLOP':>9s}{'of rate':>9s}")
    say(f"{'reference':>11s}{'spread':>8s}{'GiB':>7s}{'ratio':>7s}\n")


def _row(label: str, timings: Mapping[str, Timing], work: float, rate: float) -> None:
    """Ours, and the reference's seconds and the ratio where it was run."""
    ours, reference = timings["ours"], timings.get("reference")
    row = f"{label:{LABEL}s}{ours.median:9.3f}{ours.spread:8.0%}{ours.peak:7.2f}{work:9.0f}"
    row += f"{work / ours.median / rate:9.0%}"
    if reference is not None:
        row += f"{reference.median:11.3f}{reference.spread:8.0%}{reference.peak:7.2f}"
        row += f"{reference.median / ours.median:6.2f}x"
    say(row + "\n")
