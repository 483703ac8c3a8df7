"""Keeps in the folder of a run the configuration it was started with."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.cli.run_folder import RunFolder

CONFIG = "config.yaml"


class SaveConfig(Callback):
    """Writes config.yaml, with which `pvdm fit --config` starts the same run again.

    Args:
        config: As the user gave it, with every default, as YAML.
        folder: Of the run.
    """

    def __init__(self, config: str, folder: RunFolder) -> None:
        self.config, self.folder = config, folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with atomic_write(self.folder.path / CONFIG) as partial:
            partial.write_text(self.config, encoding="utf-8")
        self.folder.link_latest()
