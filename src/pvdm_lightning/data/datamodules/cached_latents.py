"""The data module of cached latents."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.datamodules.resumable_datamodule import ResumableDataModule
from pvdm_lightning.data.latents.encoded_videos import check_unchanged
from pvdm_lightning.data.latents.latent_cache import missing_shards, read_description
from pvdm_lightning.data.latents.latent_dataset import LatentDataset
from pvdm_lightning.errors import InvalidArgumentError, check_numbers

logger = logging.getLogger(__name__)


class CachedLatents(ResumableDataModule):
    """Latents written by `pvdm encode`, for training stage two.

    Batches are those of the videos they were made from, in the same order, with latents float32 [B, C, L] for "clip"
    and "previous". In training any of a video's stored windows is drawn, mirrored ones among them if there are any.
    If the cache has masks of known frames, batches also have "known", float32 [B, M, C, L]: the latents of "clip" with
    the frames alone that each of `known_masks` has. If it has vectors of the videos, batches have "context", float32
    [B, N, E].

    Args:
        root: Folder of the cache.
        batch_size: Training samples in a batch, per process.
        val_batch_size: As batch_size, for validation. Default: the same.
        num_workers: Processes that read samples, per training process; 0 reads them in the training process itself,
            which suffices where the files are on a disk of the machine. Default: its share of the cores, at most 8.
        drop_last: Whether to drop an epoch's last batch if it is not full.
        val_clips: Maximum number of validation clips, spread evenly over the videos. Default: all.
        seed: Seed of the order and of all random numbers.
    """

    def __init__(
        self,
        root: str = "data/latents",
        batch_size: int = 64,
        val_batch_size: int | None = None,
        num_workers: int | None = 0,
        drop_last: bool = False,
        val_clips: int | None = None,
        seed: int = 0,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(batch_size, val_batch_size, num_workers, drop_last, val_clips, seed)
        self.root = root
        self._description: dict[str, Any] = {}

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips that were encoded; known after `setup`."""
        frames, height, width = self._description["clip_shape"]
        return frames, height, width

    @property
    def autoencoder_fingerprint(self) -> str:
        """Of the autoencoder whose latents they are; known after `setup`."""
        return self._description["autoencoder"]["fingerprint"]

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, those of the videos; known after `setup`. Empty in a cache of an earlier version."""
        return list(self._description.get("class_names", []))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Further parts of a condition that batches have: vectors of the videos, if any; known after `setup`."""
        return ("context",) if "context" in self._description else ()

    @property
    def context_channels(self) -> int:
        """E of the vectors of the videos, 0 if there are none; known after `setup`."""
        return int(self._description.get("context", [0, 0])[1])

    @property
    def known_frames(self) -> list[str]:
        """What the masks of known frames were asked for as, such as ``first:4``; known after `setup`."""
        return list(self._description.get("known_frames", []))

    @property
    def known_masks(self) -> Tensor:
        """The masks of known frames, bool [M S], True where a frame is known; known after `setup`."""
        masks = [[frame == "1" for frame in mask] for mask in self._description.get("known_masks", [])]
        return torch.tensor(masks, dtype=torch.bool).reshape(len(masks), self.clip_shape[0])

    @property
    def encoded_data(self) -> dict[str, Any]:
        """The data section of the configuration that the videos were encoded with; known after `setup`."""
        return self._description["data"]

    def setup(self, stage: str | None = None) -> None:
        """Open the cache, for all stages at once; tensors are loaded when they are needed.

        Raises:
            InvalidArgumentError: There is no cache, it is unfinished or damaged, its videos are there and have changed,
                or it has fewer videos to validate on than there are processes.
        """
        if not self._datasets:
            self._open()
        self._check_processes(stage)

    def _open(self) -> None:
        root = Path(self.root)
        description = read_description(root, "DataModule.root")
        missing = missing_shards(root, description)
        if missing:
            every = sum(about["shards"] for about in description["splits"].values())
            raise InvalidArgumentError(
                "DataModule.root",
                self.root,
                f"is unfinished: {len(missing)} of {every} shards are missing",
                f"Run the same `pvdm encode` with CacheOptions.dir {self.root} again: it writes only those.",
            )
        for split, about in description["splits"].items():
            if about["shards"] == 0:
                raise self._no_latents(split)
            check_unchanged(root, split)
        datasets = {
            split: LatentDataset(
                root,
                split,
                description,
                random_window=split == "train",
                seed=self.seed,
                max_samples=self.val_clips if split == "val" else None,
            )
            for split in ("train", "val")
        }
        for split, dataset in datasets.items():
            if len(dataset) == 0:
                raise self._no_latents(split)
            self._failures[split] = BrokenVideos(0, len(dataset), 1.0)
            if self._rank_and_world_size()[0] == 0:
                line = f"{split}: latents of {len(dataset)} videos, {dataset.rows.shape[1]} windows"
                broken = description["splits"][split]["broken_videos"] + len(dataset.failures)
                logger.info(line + (f", {broken} videos broken" if broken else ""))
        self._datasets, self._description = datasets, description

    def _no_latents(self, split: str) -> InvalidArgumentError:
        problem = f"has no {split} latents"
        return InvalidArgumentError("DataModule.root", self.root, problem, "Run `pvdm encode` on more videos.")
