"""Keeps in the folder of a run the configuration it was started with."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.cli.run_folder import RunFolder

CONFIG = "config.yaml"


class SaveConfig(Callback):
    """Writes config.yaml, with which `pvdm fit --config` starts the same run again.

    Args:
        parser: Of the options of fit.
        config: As the user gave it, with every default.
        folder: Of the run.
    """

    def __init__(self, parser: LightningArgumentParser, config: Any, folder: RunFolder) -> None:
        self.parser, self.config, self.folder = parser, config, folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        text = self.parser.dump(self.config, skip_none=False)
        with atomic_write(self.folder.path / CONFIG) as partial:
            partial.write_text(text, encoding="utf-8")
        self.folder.link_latest()
