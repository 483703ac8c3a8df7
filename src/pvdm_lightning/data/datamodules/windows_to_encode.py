"""The windows of a data set that remain to be encoded, split over processes by shards."""

import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.datamodules.clip_datamodule import ClipDataModule
from pvdm_lightning.data.latents import latent_cache
from pvdm_lightning.data.latents.encoded_videos import EncodedVideos, videos_path
from pvdm_lightning.data.latents.shard_loader import ShardLoader
from pvdm_lightning.data.latents.stored_windows import StoredWindows
from pvdm_lightning.data.videos.contexts import VideosWithContext
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.memory import check_memory
from pvdm_lightning.output_lock import OutputLock

logger = logging.getLogger(__name__)


class WindowsToEncode(LightningDataModule):
    """Clips for a latent cache: existing shards are skipped, the others are distributed over processes.

    Args:
        data: The videos.
        options: What the cache is to hold.
        about: What its description says beside that: of the autoencoder, the latents and the data section.
    """

    def __init__(self, data: ClipDataModule, options: latent_cache.CacheOptions, about: Mapping[str, Any]) -> None:
        super().__init__()
        self.lock: OutputLock | None = None
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.data, self.options, self.about = data, options, about
        self.root = Path(options.dir)
        self.description: dict[str, Any] = {}

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Find the missing shards, and start the cache or continue it.

        Raises:
            InvalidArgumentError: The clips are of another size than the autoencoder takes, the folder holds another
                cache or other files, or disk or memory have no room.
        """
        assert self.trainer is not None
        self.data.trainer = self.trainer
        self.data.setup()
        self._check_clip_shape()
        options = self.options
        train, val = self.data.clips("train"), self.data.clips("val")
        self.windows = {"train": StoredWindows(train, options.windows_per_video), "val": StoredWindows(val, 1)}
        encoded = self._look_at_videos()
        self.description = self._describe({split: videos.digest() for split, videos in encoded.items()})
        # Every process looks before the first one writes, so that all of them refuse alike.
        begun = self._check_folder()
        self.missing = latent_cache.missing_shards(self.root, self.description)
        self._check_room()
        self.trainer.strategy.barrier("latent cache looked at")
        if self.trainer.is_global_zero:
            every = sum(about["shards"] for about in self.description["splits"].values())
            self.lock = OutputLock(self.root, "CacheOptions.dir")
            for split, videos in encoded.items():
                if videos.names:
                    latent_cache.write_videos(self.root, split, videos)
            self._write_contexts()
            if begun is None:
                latent_cache.write_description(self.root, self.description)
            else:
                logger.info("%s: %d of %d shards are there already", self.root, every - len(self.missing), every)
                # A cache of an earlier version has no names of classes, and one may have no vectors yet.
                more: dict[str, Any] = {
                    key: self.description[key] for key in ("class_names", "context") if key in self.description
                }
                if any(begun.get(key) != value for key, value in more.items()):
                    latent_cache.write_description(self.root, {**begun, **more})
        self.trainer.strategy.barrier("latent cache begun")

    def _write_contexts(self) -> None:
        """Write the vectors that the videos are conditioned on, if they have any; say which parts are not kept."""
        for split, stored in self.windows.items():
            dataset = stored.dataset
            if isinstance(dataset.source, VideosWithContext):
                vectors = map(dataset.source.context, dataset.videos.tolist())
                latent_cache.write_context(self.root, split, self.options.dtype, dataset.videos, vectors)
        if own := [name for name in self.data.conditions if name not in self.description]:
            logger.warning("%s: the cache does not keep %s of the data", self.root, ", ".join(own))

    def release(self) -> None:
        """Give the folder of the cache to other commands."""
        if self.lock is not None:
            self.lock.release()

    def predict_dataloader(self) -> ShardLoader:
        assert self.trainer is not None
        failures = {
            split: BrokenVideos(len(source.problems), len(source.lengths), self.data.max_bad_fraction)
            for split, source in ((split, windows.dataset.source) for split, windows in self.windows.items())
        }
        return ShardLoader(
            self.windows,
            self.missing[self.trainer.global_rank :: self.trainer.world_size],
            self.options.shard_size,
            self.data.batch_size,
            failures,
            num_workers=self.data.workers_per_process(),
            pin_memory=torch.cuda.is_available(),
        )

    def _look_at_videos(self) -> dict[str, EncodedVideos]:
        """The files of each split, read by the first process for all."""
        assert self.trainer is not None
        found: dict[str, EncodedVideos] = {}
        if self.trainer.is_global_zero:
            for split, stored in self.windows.items():
                known = EncodedVideos.read(videos_path(self.root, split), "CacheOptions.dir")
                found[split] = EncodedVideos.look_at(stored.files(), known)
        return self.trainer.strategy.broadcast(found)

    def _describe(self, videos: Mapping[str, str]) -> dict[str, Any]:
        options, windows = self.options, self.windows["train"].dataset.windows
        splits = {}
        for split, stored in self.windows.items():
            problems = stored.dataset.source.problems
            splits[split] = {
                "videos": len(stored.dataset),
                "broken_videos": len(problems),
                "windows": len(stored),
                "shards": -(-len(stored) // options.shard_size),
                "digest": stored.digest(),
                "files": videos[split],
            }
        return {
            "format": latent_cache.FORMAT,
            **self.about,
            "dtype": options.dtype,
            "frames": windows.frames,
            "stride": windows.stride,
            "hop": windows.step,
            "clips_per_sample": windows.clips,
            "windows_per_video": options.windows_per_video,
            "flips": options.flips,
            "shard_size": options.shard_size,
            **({"class_names": names} if (names := self.data.class_names) else {}),
            **self._context(),
            "splits": splits,
        }

    def _context(self) -> dict[str, Any]:
        source = self.windows["train"].dataset.source
        return {"context": list(source.contexts.size)} if isinstance(source, VideosWithContext) else {}

    def _check_clip_shape(self) -> None:
        given, taken = self.data.clip_shape, tuple(self.about["clip_shape"])
        if given != taken:
            raise InvalidArgumentError(
                "DataModule.frames/DataModule.resolution",
                " x ".join(map(str, given)),
                f"differs from the {' x '.join(map(str, taken))} of the autoencoder",
                "Leave the data's frames and resolution out: they follow the autoencoder.",
            )

    def _check_folder(self) -> dict[str, Any] | None:
        """The description of this cache if it was begun before.

        Raises:
            InvalidArgumentError: Something else is in its place.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InvalidArgumentError("CacheOptions.dir", self.root, "is a file", "Name a folder.")
        if (self.root / latent_cache.DESCRIPTION).is_file():
            there = latent_cache.read_description(self.root, "CacheOptions.dir")
            latent_cache.check_same_cache(self.root, there, self.description)
            return there
        if self.root.is_dir() and any(self.root.glob("*.safetensors")):
            raise InvalidArgumentError(
                "CacheOptions.dir", self.root, f"has shards and no {latent_cache.DESCRIPTION}", "Name another folder."
            )
        return None

    def _check_room(self) -> None:
        """Raise `InvalidArgumentError` if the shards do not fit onto the disk, or one of them into memory."""
        latent, options = self.about["latent"], self.options
        masks = len(self.about.get("known_masks", []))
        numbers = latent["channels"] * latent["tokens"] * (self.windows["train"].dataset.windows.clips + masks)
        rows = [
            min(options.shard_size, len(self.windows[split]) - number * options.shard_size)
            * (2 if options.flips and split == "train" else 1)
            for split, number in self.missing
        ]
        in_memory = 2 * torch.float32.itemsize * numbers * max(rows, default=0)  # batches, and once more while joined
        check_memory("CacheOptions.shard_size", options.shard_size, in_memory, "a shard")
        vectors = sum(len(w.dataset) for w in self.windows.values()) * math.prod(self.description.get("context", [0]))
        needed = (sum(rows) * numbers + vectors) * latent_cache.DTYPES[options.dtype].itemsize
        existing = next(folder for folder in (self.root.absolute(), *self.root.absolute().parents) if folder.is_dir())
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise InvalidArgumentError(
                "CacheOptions.dir",
                self.root,
                f"{needed / 1e9:.1f} GB are to be written, and {free / 1e9:.1f} GB are free there",
                f"Free some, store fewer windows{' or masks' if masks else ''}, or give CacheOptions.dtype float16.",
            )
