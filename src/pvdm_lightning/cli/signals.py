"""Signals that end a command: a checkpoint, all processes gone, and the exit status that schedulers expect."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from types import FrameType, MethodType
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.utilities.exceptions import SIGTERMException

logger = logging.getLogger(__name__)

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT", signal.SIGUSR1: "SIGUSR1"}


class Stopped(SystemExit):
    """A signal ended the command; the exit status is 128 and its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


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

    @property
    def received_sigterm(self) -> bool:
        """Whether training is to end; with several processes only once all of them know."""
        return self._agreed or (self.signum != 0 and self.trainer.world_size == 1)

    @received_sigterm.setter
    def received_sigterm(self, value: bool) -> None:
        """Lightning clears it as it registers its handlers."""

    def register_signal_handlers(self) -> None:
        self._original_handlers = self._get_current_signal_handlers()
        for signum in NAMES:
            self._register_signal(signum, self._take_note)

    def _take_note(self, signum: int, _: FrameType | None) -> None:
        if self.signum:  # the first is being heeded
            return
        self.signum = signum
        if self.trainer.state.fn != "fit":
            if isinstance(self.trainer.strategy.launcher, _SubprocessScriptLauncher):
                self.trainer.strategy.launcher.kill(signal.SIGTERM)
            raise Stopped(signum)

    def _agree(self) -> None:
        """Called by all processes at the start of each step: whether any of them received a signal."""
        signum = torch.tensor([self.signum], device=self.trainer.strategy.root_device)
        torch.distributed.all_reduce(signum, torch.distributed.ReduceOp.MAX)
        if signum.item():
            self.signum, self._agreed = int(signum.item()), True
            raise SIGTERMException


def end_of_training(trainer: Trainer) -> SystemExit:
    """What a run that a signal ended exits with; under SLURM, SIGUSR1 puts the job back into the queue."""
    connector: Any = trainer._signal_connector
    signum = connector.signum or signal.SIGTERM
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher) and trainer.global_rank > 0:
        return SystemExit(0)  # another status has the first process killed while it ends, too
    if signum == signal.SIGUSR1 and trainer.is_global_zero:
        _requeue()
    return Stopped(signum)


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


def end_on_sigterm() -> None:
    """Let SIGTERM end a command in order until its trainer handles signals itself."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _end)


def _end(signum: int, _: FrameType | None) -> None:
    raise Stopped(signum)
