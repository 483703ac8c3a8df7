"""The base of callbacks that write into a folder of their own."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.output_lock import OutputLock


class LockedOutput(Callback):
    """Holds an `OutputLock` from `lock_output` until the run ends or fails."""

    _lock: OutputLock | None = None

    def lock_output(self, trainer: Trainer, folder: Path, argument: str) -> None:
        """Lock a folder; the first process does it for all. Arguments and errors as of `OutputLock`."""
        if trainer.is_global_zero:
            self._lock = OutputLock(folder, argument)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
