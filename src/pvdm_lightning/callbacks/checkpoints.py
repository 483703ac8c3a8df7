"""Checkpoints after each validation, at the end, and when a run is interrupted."""

import logging

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

logger = logging.getLogger(__name__)


class Checkpoints(ModelCheckpoint):
    """ModelCheckpoint that also writes last.ckpt after each validation and at the end.

    Lightning's own writes last.ckpt beside a new best checkpoint only.

    Args:
        monitor: Metric that selects the best checkpoint; null keeps the latest.
        mode: Whether the metric is best at its min or max.
        save_top_k: How many best checkpoints to keep; -1 keeps all.
        every_n_train_steps: Save every so many steps; left out, after each validation.
        save_last: Keep last.ckpt, the state to go on from.
        save_on_exception: Also save when training is interrupted, or, with a single process, fails.
        filename: Name of a checkpoint, with {step} and metrics.
        dirpath: Folder; left out, checkpoints/ in the folder of the run's log.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: str = "min",
        save_top_k: int = 1,
        every_n_train_steps: int | None = None,
        save_last: bool = True,
        save_on_exception: bool = True,
        filename: str = "step-{step}",
        dirpath: str | None = None,
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            every_n_train_steps=every_n_train_steps,
            save_last=save_last,
            save_on_exception=save_on_exception,
            filename=filename,
            dirpath=dirpath,
            auto_insert_metric_name=False,
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if not self._every_n_train_steps and self._should_save_on_train_epoch_end(trainer):
            self._bring_last_up_to_date(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        # Where checkpoints are written at the end of the epoch, saving now would keep that from saving the best.
        if not self._every_n_train_steps and not self._should_save_on_train_epoch_end(trainer):
            self._bring_last_up_to_date(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bring_last_up_to_date(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Saving takes all processes: where one alone has failed, it would wait for the others, and they for it.
        if trainer.world_size == 1 or isinstance(exception, KeyboardInterrupt | SIGTERMException):
            super().on_exception(trainer, pl_module, exception)
        elif self._should_save_on_exception(trainer):
            logger.warning("%s in one of several processes: last.ckpt stays as it was", type(exception).__name__)

    def _bring_last_up_to_date(self, trainer: Trainer) -> None:
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
