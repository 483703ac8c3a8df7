"""Both sides of a comparison, each in a process of its own with a heap of its own; they take turns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch
from measure import ALLOCATOR, WARM_UP, Timing, fastest_product, timed

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
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, pieces, args), daemon=True)
        with _environment(() if as_it_comes else ALLOCATOR):
            self._process.start()
        other.close()

    def run(self, what: str) -> tuple[float, float]:
        """Seconds and peak memory in GiB.

        Raises:
            torch.OutOfMemoryError: it does not fit into the memory of the GPU.
        """
        self._connection.send(what)
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise torch.OutOfMemoryError(answer)
        seconds, peak = answer
        return seconds, peak

    def close(self) -> None:
        self._connection.close()
        self._process.join()


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
            runs[what] = fastest_product(args)
        try:
            connection.send(timed(runs[what], args.cpu_time))
        except torch.OutOfMemoryError as error:
            connection.send(str(error))


def take_turns(sides: Mapping[str, Side], what: str, repeats: int) -> dict[str, Timing]:
    """Time a piece of each side A B A B ..., after WARM_UP of each that do not count; a product of ours in between."""
    turns = {name: (side, what) for name, side in sides.items()} | {PRODUCT: (sides["ours"], PRODUCT)}
    timings = {name: Timing([], 0.0) for name in turns}
    for repeat in range(-WARM_UP, repeats):
        for name, (side, piece) in turns.items():
            seconds, peak = side.run(piece)
            if repeat >= 0:
                timings[name].seconds.append(seconds)
                timings[name].peak = max(timings[name].peak, peak)
    return timings
