"""A cache of latents -> samples, read where they lie."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.clip_dataset import DRAW, Key, Sample, spread_over
from pvdm_lightning.data.latents.latent_cache import context_path, damaged, read_context_index, read_table, shard_path
from pvdm_lightning.data.latents.shard import Shard
from pvdm_lightning.errors import InvalidArgumentError

_OPEN = 256  # shards kept open: a process may have some thousand files open at most


class LatentDataset(Dataset[Sample]):
    """Latents of the windows in a cache, one sample a video: any of its windows in training, else its first.

    A sample holds what one of `ClipDataset` does for pairs, with latents float32 [C L] for ``clip`` and ``previous``;
    of a cache with M masks of known frames also ``known`` float32 [M C L], the clip's latents under each of them;
    of one with vectors of its videos ``context`` float32 [N E].

    Args:
        root: Folder of a finished cache.
        split: "train" or "val".
        description: What the cache holds.
        random_window: Whether one of a video's windows, mirrored ones among them, is drawn.
        seed: Seed of the draws.
        max_samples: Only so many videos, evenly spread; None for all.

    Raises:
        InvalidArgumentError: A shard is damaged.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        description: Mapping[str, Any],
        *,
        random_window: bool = False,
        seed: int = 0,
        max_samples: int | None = None,
    ) -> None:
        self.random_window, self.seed = random_window, seed
        self.paths = [shard_path(root, split, number) for number in range(description["splits"][split]["shards"])]
        self.failures: dict[str, str] = {}
        self.num_masks = len(description.get("known_masks", []))
        columns = self._read_tables(split, len(description.get("class_names", [])))
        has_previous = columns["has_previous"]
        # Place of a sample's previous clip among those of its shard, -1 if it has none.
        previous = np.concatenate([np.where(has, np.cumsum(has) - 1, -1) for has in has_previous])
        shard = np.repeat(np.arange(len(has_previous)), [len(has) for has in has_previous])
        row = np.concatenate([np.arange(len(has)) for has in has_previous])
        index = np.concatenate(columns["index"])
        order = np.argsort(index, kind="stable")
        self.rows = np.stack([shard, row, previous, np.concatenate(columns["label"]), index])[:, order]
        videos, first, counts = np.unique(self.rows[-1], return_index=True, return_counts=True)
        chosen = spread_over(len(videos), max_samples)
        self.videos, self.first, self.counts = videos[chosen], first[chosen], counts[chosen]
        self._shards: OrderedDict[int, Shard] = OrderedDict()
        self.context_rows: np.ndarray | None = None
        if "context" in description:
            path = context_path(root, split)
            index = read_context_index(path, "DataModule.root", description["context"])
            self.context_rows = np.searchsorted(index, self.videos)
            if not np.isin(self.videos, index).all():
                raise damaged(path, "DataModule.root", ValueError("it lacks vectors of some videos"))
            self.paths.append(path)  # read as a shard is

    def _read_tables(self, split: str, num_classes: int) -> dict[str, list[np.ndarray]]:
        columns: dict[str, list[np.ndarray]] = {"has_previous": [], "label": [], "index": []}
        # The bar shows only if reading takes longer than it takes to read the bar.
        for path in tqdm(self.paths, f"opening cached latents ({split})", unit="file", delay=2):
            table, failures = read_table(path, "DataModule.root", self.num_masks)
            if num_classes and not ((table["label"] >= -1) & (table["label"] < num_classes)).all():
                raise damaged(path, "DataModule.root", ValueError(f"it has labels of more than {num_classes} classes"))
            self.failures.update(failures)
            for name, values in columns.items():
                values.append(table[name].numpy())
        return columns

    def __len__(self) -> int:
        return len(self.videos)

    def name(self, position: int) -> str:
        """What messages call the video of a sample."""
        return f"video {self.videos[position]}"

    def __getitem__(self, key: int | Key) -> Sample:
        """The sample of a video.

        Args:
            key: Position among the videos, or (epoch, position, attempt).
        """
        epoch, position, attempt = key if isinstance(key, tuple) else (0, key, 0)
        which = 0
        if self.random_window:
            rng = np.random.default_rng((DRAW, self.seed, epoch, int(self.videos[position]), attempt))
            which = int(rng.integers(self.counts[position]))
        shard, row, previous, label, index = (int(number) for number in self.rows[:, self.first[position] + which])
        clip = self._latent(shard, "clip", row)
        known = {"known": self._latent(shard, "known", row)} if self.num_masks else {}
        if self.context_rows is not None:
            known["context"] = self._latent(len(self.paths) - 1, "context", int(self.context_rows[position]))
        return {
            "clip": clip,
            "previous": torch.zeros_like(clip) if previous < 0 else self._latent(shard, "previous", previous),
            "has_previous": torch.tensor(previous >= 0),
            "label": torch.tensor(label),
            "index": torch.tensor(index),
            **known,
        }

    def _latent(self, shard: int, name: str, row: int) -> Tensor:
        if shard in self._shards:
            self._shards.move_to_end(shard)
        else:
            self._shards[shard] = self._open(shard)
            if len(self._shards) > _OPEN:
                self._shards.popitem(last=False)[1].close()
        try:
            latent = self._shards[shard].row(name, row).float()
        except ValueError as error:  # it was cut meanwhile
            raise damaged(self.paths[shard], "DataModule.root", error) from None
        if not latent.isfinite().all():
            problem, remedy = f"row {row} of {name} is not finite", "Delete it and run `pvdm encode` again."
            raise InvalidArgumentError("DataModule.root", self.paths[shard], problem, remedy)
        return latent

    def _open(self, shard: int) -> Shard:
        try:
            return Shard(self.paths[shard])
        except (ValueError, FileNotFoundError) as error:
            raise damaged(self.paths[shard], "DataModule.root", error) from None

    def __getstate__(self) -> dict[str, Any]:
        # Open files do not travel to worker processes, which open their own.
        return {**self.__dict__, "_shards": OrderedDict()}
