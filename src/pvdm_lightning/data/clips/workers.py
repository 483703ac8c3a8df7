"""The worker processes of a loader: signals leave them to their parent, and what goes wrong in them is said there."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from types import TracebackType
from typing import Any

from torch.utils.data import DataLoader, get_worker_info
from torch.utils.data._utils import signal_handling

from pvdm_lightning.errors import InvalidArgumentError

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_NO_DESCRIPTORS = 77
"""Exit status of a worker that may open no more files."""
_TO_PARENT = (InvalidArgumentError, OSError, MemoryError)
"""Errors of users and machines; PyTorch passes on their text alone, in which neither argument nor number is left."""


def worker_loader(dataset: Any, **loader_args: Any) -> DataLoader[Any]:
    """A `DataLoader`, to be read by `batches_of`; arguments as of it."""
    # PyTorch's handler would raise the loss of a worker anywhere, in the middle of an optimizer's step, too. Without
    # it, the loss is found within seconds where a batch is waited for.
    signal_handling._SIGCHLD_handler_set = True
    return DataLoader(dataset, worker_init_fn=_set_up_worker, **loader_args)


def to_parent(error: Exception) -> Exception:
    """In a worker, an error to return in the place of a batch, which `batches_of` raises; elsewhere raises it."""
    if get_worker_info() is None or not isinstance(error, _TO_PARENT):
        raise error
    return error


def batches_of(loader: DataLoader[Any], argument: str = "DataModule.num_workers") -> Iterator[Any]:
    """The batches of a `worker_loader`.

    Args:
        loader: The loader.
        argument: That its number of workers came from.

    Raises:
        InvalidArgumentError: A worker was killed, or shared memory is full.
        OSError: There are too many open files; or what a worker could not read.
    """
    # Blocked here, for the workers to inherit: a library's pool may start threads before `_set_up_worker` is called.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        iterator = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    workers: list[BaseProcess] = list(getattr(iterator, "_workers", ()))
    # Through its queues an iterator tells workers to end. The garbage collector, which finds what an error has kept,
    # would close them before that, and each worker be waited for in vain, for five seconds.
    weakref.finalize(iterator, list, getattr(iterator, "_index_queues", ()))
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            _explain(error, workers, argument)
            raise
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _explain(error: Exception, workers: list[BaseProcess], argument: str) -> None:
    """Raise what is behind an error of a loader, if that is known."""
    for worker in workers:
        worker.join(0.2 / len(workers))  # it may be about to die
    lost = next((worker for worker in workers if worker.exitcode), None)
    if lost is not None and lost.exitcode == _NO_DESCRIPTORS:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
    if lost is not None and lost.exitcode:
        raise _lost(lost.exitcode, len(workers), argument) from error
    if workers and isinstance(error, RuntimeError):
        if any(sign in str(error) for sign in ("Too many open files", "ancillary data")):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
        if "shared memory" in str(error) or "No space left on device" in str(error):
            raise _no_shared_memory(len(workers), argument, "a batch does not fit into shared memory") from error


def _lost(status: int, workers: int, argument: str) -> InvalidArgumentError:
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    problem = f"a worker process that reads data was killed ({name})"
    if status == -signal.SIGKILL:
        remedy = f"If memory ran out, lower {argument} or the batch size."
        return InvalidArgumentError(argument, workers, problem, remedy)
    if status == -signal.SIGBUS:
        return _no_shared_memory(workers, argument, f"{problem}: shared memory is full, or a file was cut short")
    remedy = f"Find what cannot be read with `pvdm check-data`, or give {argument} 0."
    return InvalidArgumentError(argument, workers, problem, remedy)


def _no_shared_memory(workers: int, argument: str, problem: str) -> InvalidArgumentError:
    remedy = f"Enlarge /dev/shm (in Docker by --shm-size), or give {argument} 0."
    return InvalidArgumentError(argument, workers, problem, remedy)


def _set_up_worker(_: int) -> None:
    """Signals and errors of a worker's threads are its parent's business."""
    Queue._on_queue_feeder_error = staticmethod(_batch_not_sent)  # type: ignore[attr-defined]
    sys.excepthook = _error_of_thread
    for crash in (signal.SIGBUS, signal.SIGSEGV, signal.SIGFPE):
        signal.signal(crash, signal.SIG_DFL)  # PyTorch's handlers print what the parent says in full
    signal.set_wakeup_fd(-1)  # of the parent, which would take the signal for its own
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        # A signal to the whole group ends no worker: its parent does, after the step that needs its batch. Handlers
        # beside the mask, because a library may unblock signals in a thread of its own.
        for signum in _SIGNALS:
            signal.signal(signum, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threading.Thread(target=_heed_parent, args=(os.getppid(),), daemon=True, name="signals").start()


def _heed_parent(parent: int) -> None:
    while True:
        received = signal.sigwaitinfo(_SIGNALS)
        if received.si_signo == signal.SIGTERM and received.si_pid == parent:  # at last, if it does not end by itself
            os._exit(0)


def _batch_not_sent(error: Exception, _: object) -> None:
    """Called by the thread that sends batches: its parent would wait for this one in vain."""
    if getattr(error, "errno", None) == errno.EMFILE:
        os._exit(_NO_DESCRIPTORS)
    if not isinstance(error, ConnectionError):  # the parent is ending
        traceback.print_exception(error)
    os._exit(1)


def _error_of_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Called by the thread that passes on descriptors: a connection that ends is one that nobody needs any more."""
    if not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
