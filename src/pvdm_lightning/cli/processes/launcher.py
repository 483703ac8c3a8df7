"""The processes of a run that `pvdm` starts itself: none outlives another, and the one that is lost is named."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from pvdm_lightning.stopping import SIGNALS, end_at_once, say

_STARTED_BY = "PVDM_STARTED_BY"
_POLL = 0.2
GRACE = 5.0
"""Seconds that a process has to end by itself once another one has."""
_children: list[subprocess.Popen[bytes]] = []
_parent: int | None = None


class Launcher(_SubprocessScriptLauncher):
    """Starts the other processes as Lightning's does, with another observer.

    Lightning's kills the first process as soon as another one fails: without a word, and with status 137 whatever
    happened. Ours has the first process end as the other one did.
    """

    @classmethod
    def in_place_of(cls, other: _SubprocessScriptLauncher) -> Launcher:
        """A launcher of the same processes."""
        return cls(other.cluster_environment, other.num_processes, other.num_nodes)

    @staticmethod
    def started_this_process() -> bool:
        """Whether this process is one that the first process started."""
        return _parent is not None

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[_STARTED_BY] = str(os.getpid())
            self._call_children_scripts()
            _children.extend(self.procs)
            threading.Thread(target=_watch_children, daemon=True, name="children").start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


def watch_parent() -> None:
    """End this process if the one that started it is killed: it would wait for it, or work on alone."""
    global _parent
    if os.environ.get(_STARTED_BY) == str(os.getppid()):
        _parent = os.getppid()
        threading.Thread(target=_watch_parent, args=(_parent,), daemon=True, name="parent").start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    with contextlib.suppress(OSError):
        os.write(2, f"pvdm: error: {lost_line(0, -signal.SIGKILL)}\n".encode())
    os._exit(2)


def _watch_children() -> None:
    while (found := _failed()) is None:
        time.sleep(_POLL)
    rank, status = found
    signum = stopped_by(status)
    if signum is not None:
        os.kill(os.getpid(), signum)  # it was told to end, so all are
    time.sleep(GRACE)
    if not _children:  # this process is ending by itself
        return
    end_children(0)
    if signum is not None:
        end_at_once(signum)
    if status < 0:
        say(f"error: {lost_line(rank, status)}")
    os._exit(2 if status < 0 else status)


def _failed() -> tuple[int, int] | None:
    """Rank and exit status of a process that did not end in order."""
    statuses = [(rank, process.poll()) for rank, process in enumerate(_children, 1)]
    return next(((rank, status) for rank, status in statuses if status), None)


def stopped_by(status: int) -> int | None:
    """The signal that told a process to end, by its exit status."""
    signum = status - 128 if status > 0 else -status
    return signum if signum in set(SIGNALS) else None


def lost_process() -> tuple[int, int] | None:
    """Rank and exit status of a process that failed, for which another one's error may be a mere consequence."""
    end = time.monotonic() + 1.0
    while _children and (found := _failed()) is None and time.monotonic() < end:
        time.sleep(_POLL / 4)
    return found if _children else None


def lost_line(rank: int, status: int) -> str:
    """What happened to a process that was killed, and what to do."""
    name = signal.Signals(-status).name
    return (
        f"process {rank} of the run was killed ({name}). If its memory ran out, lower --data.batch_size or "
        "--data.num_workers; `pvdm fit --resume` goes on from the last checkpoint."
    )


def end_children(grace: float) -> None:
    """Wait for the other processes to end by themselves, then end them.

    Args:
        grace: Seconds they have.
    """
    children, _children[:] = list(_children), []  # they are not watched any more
    for send, seconds in ((None, grace), (signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        end = time.monotonic() + seconds
        for process in children:
            if send is not None and process.poll() is None:
                process.send_signal(send)
        for process in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
