"""How checkpoints get to the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH

from pvdm_lightning.atomic_write import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it when it is whole.

    Lightning's own writes into TMPDIR and moves the file: across file systems that is a copy, which a full disk or a
    kill leaves half-written under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
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
