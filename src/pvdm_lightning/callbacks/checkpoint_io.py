"""How checkpoints get to the disk."""

from __future__ import annotations

import copy
import errno
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from pvdm_lightning.atomic_write import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it when it is whole.

    Lightning's own writes into TMPDIR and moves the file: across file systems that is a copy, which a full disk or a
    kill leaves half-written under the final name.
    """

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[str, dict[str, Any]] = {}

    def hand_over(self, path: str | Path, checkpoint: dict[str, Any]) -> None:
        """Let the next `load_checkpoint` of a path return what has been read of it already."""
        self._read[str(path)] = checkpoint

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The contents of a checkpoint; weights that were read before stay memory-mapped."""
        read = self._read.pop(str(path), None)
        if read is None:
            return super().load_checkpoint(path, map_location, weights_only)
        # Copies of all that training changes in place: a module copies its weights, an optimizer keeps its states.
        return {key: value if key == "state_dict" else copy.deepcopy(value) for key, value in read.items()}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        if "://" in str(path):  # a remote file system
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with atomic_write(Path(path)) as partial:
            try:
                torch.save(checkpoint, partial)
            except RuntimeError as error:  # what torch makes of a full disk
                if "PytorchStreamWriter" not in str(error) and "unexpected pos" not in str(error):
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
