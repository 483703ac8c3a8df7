"""The processes that share an evaluation."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch
from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work; by default it is alone.

    Attributes:
        rank: Its number.
        world_size: How many there are.
        broadcast: Gives all of them the first one's value; all must call it.
        barrier: Waits for all of them.
        gather: Gives the first one a list of what all of them have, and the others nothing; all must call it.
    """

    rank: int = 0
    world_size: int = 1
    broadcast: Callable[[Any], Any] = lambda value: value
    barrier: Callable[[], None] = lambda: None
    gather: Callable[[Any], list[Any]] = lambda value: [value]

    @classmethod
    def from_trainer(cls, trainer: Trainer) -> Processes:
        """The processes of a trainer."""
        strategy = trainer.strategy

        def gather(value: Any) -> list[Any]:
            found = [value] * trainer.world_size
            if trainer.world_size > 1:
                torch.distributed.all_gather_object(found, value)
            return found if trainer.global_rank == 0 else []

        return cls(trainer.global_rank, trainer.world_size, strategy.broadcast, strategy.barrier, gather)

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def share(self, numbers: list[int]) -> list[int]:
        """This process's part of a list that all of them have."""
        return numbers[self.rank :: self.world_size]


class LostProcessError(RuntimeError):
    """Another process of an evaluation has ended."""


def run_in_processes(count: int, work: Callable[..., Result], *arguments: Any) -> Result:
    """Run `work(processes, *arguments)` in this process and in `count` - 1 others; returns what this one's gives.

    The others start afresh, so that each may use a GPU of its own. None of them outlives this one, or goes on without
    one that failed.

    Args:
        count: How many processes.
        work: A function of a module.
        arguments: Picklable.

    Raises:
        Exception: What one of them raised.
    """
    if count == 1:
        return work(Processes(), *arguments)
    context = get_context("spawn")
    ends: list[Connection] = []
    others = []
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    try:
        for rank in range(1, count):
            ours, theirs = context.Pipe()
            other = context.Process(target=_other, args=(theirs, rank, count, each, work, arguments))
            other.start()
            theirs.close()  # so that a lost process is an end of file
            ends.append(ours)
            others.append(other)
        torch.set_num_threads(each)

        def meet(mine: Any, said: Any) -> list[Any]:
            """Wait until each of the others is here, hear what it has, and say something to all."""
            heard = [mine, *(_hear(end) for end in ends)]
            for end in ends:
                end.send(said)
            return heard

        def broadcast(value: Any) -> Any:
            meet(None, value)
            return value

        def barrier() -> None:
            meet(None, None)

        result = work(Processes(0, count, broadcast, barrier, lambda value: meet(value, [])), *arguments)
        barrier()
        return result
    finally:
        torch.set_num_threads(threads)
        for end in ends:
            end.close()
        for other in others:
            other.join(5.0)
            if other.is_alive():
                other.kill()
                other.join()


def _hear(end: Connection) -> Any:
    """What another process has; raises what it has raised."""
    try:
        error, value = end.recv()
    except EOFError:
        raise LostProcessError("a process of the evaluation has ended without a word") from None
    if error is not None:
        raise error
    return value


def _other(end: Connection, rank: int, count: int, threads: int, work: Callable[..., Any], arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.disable(logging.WARNING)  # the first process says what is to be said
    torch.set_num_threads(threads)

    def gather(value: Any) -> Any:
        end.send((None, value))
        return end.recv()

    def barrier() -> None:
        gather(None)

    try:
        work(Processes(rank, count, lambda _: gather(None), barrier, gather), *arguments)
        barrier()
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the first one has ended, and has said why
        os._exit(1)
    except InvalidArgumentError as error:
        end.send((error, None))
    except Exception as error:
        text = f"process {rank} of the evaluation: {type(error).__name__}: {error}"
        end.send((LostProcessError(text), None))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
