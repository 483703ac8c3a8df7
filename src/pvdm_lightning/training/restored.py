"""The base of both modules: from a checkpoint without importing what it names, and batches to the device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from typing_extensions import Self

from pvdm_lightning.pipeline.checkpoint import build_network, check_finite, read_checkpoint
from pvdm_lightning.pipeline.public_classes import find_class


class RestoredModule(LightningModule):
    """A LightningModule whose checkpoints are data: classes are looked up in the table of this project.

    What the host reads of a batch in each step stays on the host.
    """

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: torch.device | str | None = None, **arguments: Any
    ) -> Self:
        """The module of a checkpoint.

        Args:
            checkpoint_path: Of a file that `fit` wrote.
            map_location: Device of the module. Default: the CPU.
            **arguments: Of the constructor, in place of those in the file.

        Raises:
            InvalidArgumentError: The file is no checkpoint of this class, or holds weights that are NaN or infinite.
        """
        checkpoint = read_checkpoint(checkpoint_path, "checkpoint_path", expected=cls.__name__)
        recorded = {key: value for key, value in checkpoint["hyper_parameters"].items() if not key.startswith("_")}
        built = {
            key: build_network(find_class(value["class_path"]), value["init_args"])
            if isinstance(value, dict) and "class_path" in value
            else value
            for key, value in recorded.items()
        }
        module = cls(**{**built, **arguments})
        module.on_load_checkpoint(checkpoint)
        check_finite(checkpoint["state_dict"], "checkpoint_path", checkpoint_path)
        module.load_state_dict(checkpoint["state_dict"])
        return module if map_location is None else module.to(map_location)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Keep on the CPU what the host reads in each step: fetching it from the GPU would wait for it."""
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if not isinstance(batch, Mapping):  # numbers of videos to sample
            return moved
        return {**moved, **{name: batch[name] for name in ("has_previous", "index") if name in batch}}
