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
from measure import ALLOCATOR, LABEL, WARM_UP, Timing, fastest_products, line, product_work, say, timed

Pieces = Callable[[argparse.Namespace], Mapping[str, Callable[[], Any]]]
PRODUCT = "matrix product"


class Side:
    """A process that builds the pieces of one side, and runs one of them at a time when it is told to.

    Args:
        pieces: Gives the side's pieces by name; called in the process, a function of a module.
        args: The options of `measure.parser`; `pieces` gets them.
        as_it_comes: Without the settings that keep freed memory and take large pages.
    """

    def __init__(self, pieces: Pieces, args: argparse.Namespace, as_it_comes: bool = False) -> None:
        self._pieces, self._args, self._as_it_comes = pieces, args, as_it_comes
        self._process: BaseProcess | None = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._pieces, self._args), daemon=True)
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
def _environment(kept: Any) -> Iterator[None]:
    """The variables of the allocator only if they are among those `kept`."""
    before = dict(os.environ)
    for name in ALLOCATOR:
        if name not in kept:
            os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update(before)


def _serve(connection: Connection, pieces: Pieces, args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    runs = {**pieces(args)}
    while True:
        try:
            what = connection.recv()
        except EOFError:
            return
        if what == PRODUCT and what not in runs:
            runs[what] = fastest_products(args)
        try:
            connection.send(timed(runs[what], args.cpu_time))
        except torch.OutOfMemoryError as error:
            connection.send(str(error))


def take_turns(sides: Mapping[str, Side], what: str, repeats: int, apart: bool = False) -> dict[str, Timing]:
    """Time a piece of each side A B A B ..., with a product of ours in between.

    Args:
        sides: By name; one is called "ours".
        what: The piece.
        repeats: Runs of each that count, after WARM_UP that do not.
        apart: End a side's process after each of its turns, which then begins with a warm-up: for what does not fit
            into the memory beside each other.
    """
    timings = {name: Timing([], 0.0) for name in (*sides, PRODUCT)}

    def turn(side: Side, name: str, piece: str, counts: bool) -> None:
        seconds, peak = side.run(piece)
        if counts:
            timings[name].seconds.append(seconds)
            timings[name].peak = max(timings[name].peak, peak)

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
    ours: Pieces,
    original: Pieces | None,
    work: Mapping[str, float],
    args: argparse.Namespace,
    apart: Collection[str] = (),
    alone: Collection[str] = (),
    as_it_comes: Collection[str] = (),
) -> None:
    """A line for each piece, then those `as_it_comes` again beside the original with the system's allocator.

    Args:
        title: Before the name of a piece.
        ours: Our side, whose settings of the allocator `pvdm` makes itself.
        original: The other side, or none.
        work: GFLOP of our pieces by name, in the order of the lines.
        args: The options of `measure.parser`.
        apart: Pieces that do not fit into the memory beside each other.
        alone: Pieces that the original does not have.
        as_it_comes: Pieces to print twice.
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
                line(label, timings, work[what], product_work(args) / timings[PRODUCT].median)
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
