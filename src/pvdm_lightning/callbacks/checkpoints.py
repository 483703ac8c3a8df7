"""Checkpoints after each validation, at the end, and when a run is interrupted."""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pvdm_lightning.errors import check_at_least, check_numbers
from pvdm_lightning.training.locked_output import LockedOutput

logger = logging.getLogger(__name__)


class Checkpoints(LockedOutput, ModelCheckpoint):
    """ModelCheckpoint that also writes last.ckpt after each validation, every so many steps, and at the end.

    Lightning's own writes last.ckpt beside a new best checkpoint only. Weights that are NaN or infinite are not saved.

    Args:
        monitor: Metric that selects the best checkpoint; null keeps the latest.
        mode: Whether the metric is best at its min or max.
        save_top_k: How many best checkpoints to keep; -1 keeps all.
        every_n_train_steps: Save last.ckpt also every so many steps, and without a monitor a checkpoint as well.
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
        check_numbers("Checkpoints", locals())
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_last=save_last,
            save_on_exception=save_on_exception,
            filename=filename,
            dirpath=dirpath,
            auto_insert_metric_name=False,
            # A run that goes on replaces its own last.ckpt; a second file of another name would leave it stale.
            enable_version_counter=False,
        )
        check_at_least("Checkpoints.every_n_train_steps", every_n_train_steps, 1)
        self.save_every = every_n_train_steps

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and self.dirpath and "://" not in str(self.dirpath):
            self.lock_output(trainer, Path(self.dirpath), "Checkpoints.dirpath")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Not Lightning's own, which waits for the monitored metric, and so for a validation.
        if self.save_every is None or trainer.global_step % self.save_every:
            return
        if not self._should_skip_saving_checkpoint(trainer):
            if self.monitor is None:
                self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
            if self.save_last:
                self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer):
            self._bring_last_up_to_date(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        # Where checkpoints are written at the end of the epoch, saving now would keep that from saving the best.
        if not self._should_save_on_train_epoch_end(trainer):
            self._bring_last_up_to_date(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bring_last_up_to_date(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Saving takes all processes: where one alone has failed, it would wait for the others, and they for it.
        if trainer.world_size == 1 or isinstance(exception, KeyboardInterrupt | SIGTERMException):
            if self._should_save_on_exception(trainer):
                try:
                    self._bring_last_up_to_date(trainer)
                except OSError as error:  # the run has failed already, of this perhaps
                    logger.warning("last.ckpt stays as it was: %s", error)
        elif self._should_save_on_exception(trainer):
            logger.warning("%s in one of several processes: last.ckpt stays as it was", type(exception).__name__)
        self._release()

    def _bring_last_up_to_date(self, trainer: Trainer) -> None:
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def _should_skip_saving_checkpoint(self, trainer: Trainer) -> bool:
        if super()._should_skip_saving_checkpoint(trainer):
            return True
        spoilt = not _finite(trainer.lightning_module)
        if spoilt:
            logger.warning("step %d is not saved: its weights are NaN or infinite", trainer.global_step)
        return spoilt

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # Files that the state names are deleted for better ones: only those of this run's folder may be.
        folder = Path(self.dirpath).resolve() if self.dirpath else None
        best = state_dict.get("best_k_models")
        paths = [
            *(best if isinstance(best, dict) else ()),
            *map(state_dict.get, ("last_model_path", "best_model_path")),
        ]
        if all(not path or (folder is not None and Path(path).resolve().parent == folder) for path in paths):
            super().load_state_dict(state_dict)


def last_checkpoint(trainer: Trainer) -> str:
    """Path of the last.ckpt that a run has written; "" if there is none."""
    callbacks = (callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    return next((callback.last_model_path for callback in callbacks), "")


def _finite(module: torch.nn.Module) -> bool:
    values = [weight.detach() for weight in module.state_dict().values() if weight.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in values]).all()) if values else True
