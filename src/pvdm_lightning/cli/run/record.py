"""What a run leaves beside its logs: its configuration, and its start in each checkpoint."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.callbacks import Checkpoints
from pvdm_lightning.cli.run.folder import CONFIG, RunFolder


class SaveRun(Callback):
    """Writes config.yaml, with which `pvdm fit --config` starts the same run again, and marks the run as the latest.

    Args:
        config: As the user gave it, with every default, as YAML.
        folder: Folder of the run.
    """

    def __init__(self, config: str, folder: RunFolder) -> None:
        self.config, self.folder = config, folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoints):
                callback.after_save = self.folder.link_latest

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not before: a start that fails must not replace the configuration of the run that it was to go on with.
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            with atomic_write(self.folder.path / CONFIG) as partial:
                partial.write_text(self.config, encoding="utf-8")

    def on_train_batch_end(self, *_: Any) -> None:
        self.folder.has_trained()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["run"] = {"started": self.folder.started}
