"""Signals that end a command: a checkpoint, all processes gone, and the exit status that schedulers expect.

A signal arrives in one of three phases. While modules are imported and after the command, the process ends at once
(`stopping`). While a command works, `Stopped` is raised where it is. While a run trains, the signal is noted, and all
processes end together after a step or a batch of validation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from types import FrameType, MethodType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.distributed.distributed_c10d import _get_default_store

from pvdm_lightning.cli.processes.launcher import Launcher, end_children
from pvdm_lightning.stopping import SIGNALS, end_at_once

logger = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds after which a command that cannot react, because it waits inside of a library, ends regardless."""
_received: list[int] = []
_TOLD_TO_END = "pvdm/told_to_end"


class Stopped(SystemExit):
    """A signal ended the command; the exit status is 128 and its number.

    Args:
        signum: Number of the signal.
        said: Whether the user knows.
    """

    def __init__(self, signum: int, said: bool = False) -> None:
        super().__init__(128 + signum)
        self.signum, self.said = signum, said


class TrainerSignals(_SignalConnector):
    """Takes note of the first signal. Training ends at the end of its step, in all processes at once.

    Other commands end where they are: what they have written is whole.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.signum = 0
        self._agreed = False
        super().__init__(trainer)
        loop = trainer.fit_loop.epoch_loop
        loop._broadcast_sigterm_tensor = MethodType(lambda _: self._agree(), loop)  # type: ignore[method-assign]
        self._agree_after(loop.val_loop)
        trainer.callbacks.append(EndValidationEarly(self))  # type: ignore[attr-defined]

    @property
    def received_sigterm(self) -> bool:
        """Whether training is to end; with several processes only once all of them know."""
        return self._agreed or (self.signum != 0 and self.trainer.world_size == 1)

    @received_sigterm.setter
    def received_sigterm(self, value: bool) -> None:
        """Lightning clears it as it registers its handlers."""

    def register_signal_handlers(self) -> None:
        self._original_handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
        for signum in SIGNALS:
            self._register_signal(signum, self._take_note)
        _Watchdog.patient = self.trainer.state.fn == "fit"

    def teardown(self) -> None:
        _Watchdog.patient = False
        if not self.signum:  # else it is being heeded, and further ones change nothing
            super().teardown()

    def _take_note(self, signum: int, _: FrameType | None) -> None:
        if self.signum:  # the first is being heeded
            return
        self.signum = signum
        _received.append(signum)
        if self.trainer.state.fn != "fit":
            raise Stopped(signum)

    def _agree(self) -> None:
        """Called by all processes at the start of each step: whether any of them received a signal."""
        signum = torch.tensor([self.signum], device=self.trainer.strategy.root_device)
        torch.distributed.all_reduce(signum, torch.distributed.ReduceOp.MAX)
        if signum.item():
            self.signum, self._agreed = int(signum.item()), True
            raise SIGTERMException

    def _agree_after(self, validation: Any) -> None:
        on_run_end = validation.on_run_end

        def agree_first() -> Any:
            if self.trainer.world_size > 1:
                self._agree()
            return on_run_end()

        validation.on_run_end = agree_first

    def told_to_end(self) -> bool:
        """Whether this process or another one received a signal; asked without waiting for the others."""
        store = _get_default_store()
        if self.signum:
            store.set(_TOLD_TO_END, "")
        return self.signum != 0 or bool(store.check([_TOLD_TO_END]))


class EndValidationEarly(Callback):
    """Ends a validation inside of training where one of several processes received a signal.

    Processes may have different numbers of batches, so they agree after the last one that each of them takes. The first
    batch is always taken: DDP brings buffers up to date in it.
    """

    def __init__(self, signals: TrainerSignals) -> None:
        self.signals = signals

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        several = trainer.state.fn == "fit" and trainer.world_size > 1
        if several and batch_idx > 0 and self.signals.told_to_end():
            raise StopIteration  # ends the loop as its last batch does


def end_of_training(trainer: Trainer) -> SystemExit:
    """What a run that a signal ended exits with; under SLURM, SIGUSR1 puts the job back into the queue."""
    connector: Any = trainer._signal_connector
    signum = connector.signum or signal.SIGTERM
    if Launcher.started_this_process():
        return SystemExit(0)  # another status tells the first process that this one failed
    if signum == signal.SIGUSR1 and trainer.is_global_zero:
        _requeue()
    return Stopped(signum, said=True)


def _requeue() -> None:
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    if os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
        logger.info("SLURM job %s is queued again", job)
    except (OSError, subprocess.CalledProcessError) as error:
        logger.warning("SLURM job %s could not be queued again: %s", job, error)


@contextlib.contextmanager
def signals_stop() -> Iterator[None]:
    """Have signals raise `Stopped` inside of the block, unless a trainer handles them itself."""
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    _received.clear()
    before = {signum: signal.signal(signum, _stop) for signum in SIGNALS}
    try:
        with _Watchdog():
            yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def received_signal() -> int | None:
    """The first signal since the command began: errors after it are its consequences."""
    return _received[0] if _received else None


def _stop(signum: int, _: FrameType | None) -> None:
    _received.append(signum)
    for other in SIGNALS:  # the first is being heeded
        signal.signal(other, _ignore)
    raise Stopped(signum)


def _ignore(signum: int, _: FrameType | None) -> None:
    """Not SIG_IGN, which children would inherit."""


class _Watchdog:
    """Ends a process that a signal was sent to and that does not react within `GRACE` seconds.

    Python runs handlers between two of its own instructions: while it waits for other processes, or for a file system,
    inside of a library, that may never come. Training is waited for, however long its step takes.
    """

    patient = False

    def __enter__(self) -> None:
        type(self).patient = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="signals").start()

    def _watch(self) -> None:
        while numbers := os.read(self._reader, 1):
            if numbers[0] in SIGNALS and not self._over.wait(GRACE) and not self.patient:
                end_children(0)
                end_at_once(numbers[0])
        os.close(self._reader)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        signal.set_wakeup_fd(self._before)
        os.close(self._writer)
