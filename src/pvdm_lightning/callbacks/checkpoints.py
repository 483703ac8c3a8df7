"""Checkpoints after validations, at the end, and when a run is interrupted: no step is lost."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class Checkpoints(ModelCheckpoint):
    """Lightning's ModelCheckpoint, which also brings last.ckpt up to date when training ends between validations.

    Args:
        monitor: Figure to choose the best checkpoint by; null keeps the latest.
        mode: Whether that figure is best at its min or max.
        save_top_k: How many best checkpoints to keep; -1 keeps all.
        every_n_train_steps: Save every so many steps; left out, after each validation.
        save_last: Keep last.ckpt, the state to go on from.
        save_on_exception: Also save when training is interrupted or fails.
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

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.save_last and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
