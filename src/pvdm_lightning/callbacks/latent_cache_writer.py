"""Writes the shards of a cache of latents as they are encoded."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pvdm_lightning.data.latents.latent_cache import DTYPES, shard_path, write_shard


class LatentCacheWriter(Callback):
    """Collects the outputs of `LatentEncoder` and writes each shard after its last batch.

    Args:
        root: Folder of the cache.
        dtype: Data type of the latents in it: float32 or float16.
    """

    def __init__(self, root: Path, dtype: str) -> None:
        self.root, self.dtype = root, DTYPES[dtype]
        self._parts: list[dict[str, Tensor]] = []
        self._failures: dict[str, str] = {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._parts.append(outputs)
        self._failures.update(batch["failures"])
        if batch["is_last"]:
            path = shard_path(self.root, batch["split"], batch["shard"])
            rows = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
            rows |= {name: rows[name].to(self.dtype) for name in ("clip", "previous", "known") if name in rows}
            write_shard(path, rows, self._failures)
            self._parts, self._failures = [], {}
