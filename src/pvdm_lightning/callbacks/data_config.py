"""Keeps in each checkpoint which data it was trained on, so that later commands need no config."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning.data.datamodules.cached_latents import CachedLatents


class SaveDataConfig(Callback):
    """Adds the data section of the configuration to checkpoints, under the key ``data_config``.

    Of cached latents also the section of the videos that were encoded, under ``encoded_data_config``.

    Args:
        data: The section as plain values, {class_path, init_args}.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["data_config"] = self.data
        encoded = getattr(trainer, "datamodule", None)
        if isinstance(encoded, CachedLatents):
            checkpoint["encoded_data_config"] = encoded.encoded_data
