"""The base of all data modules: loaders that resume in the middle of an epoch."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning import LightningDataModule

from pvdm_lightning.data.clips.broken import BrokenVideos, Samples
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.index.build_index import num_cores
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers

logger = logging.getLogger(__name__)


class ResumableDataModule(LightningDataModule):
    """Loaders of a training and a validation set, split over processes, that resume at the next sample.

    A subclass fills `_datasets` and `_failures`, by the names of the splits "train" and "val", in `setup`.

    Args:
        batch_size: Training samples in a batch, per process.
        val_batch_size: As batch_size, for validation. Default: the same.
        num_workers: Processes that read samples, per training process. Default: its share of the cores, at most 8.
        drop_last: Whether to drop an epoch's last batch if it is not full.
        val_clips: Maximum number of validation clips, spread evenly over the videos. Default: all.
        seed: Seed of the order and of all random numbers.
    """

    replace_broken = False  # whether training puts other random samples in the place of broken ones

    def __init__(
        self,
        batch_size: int = 8,
        val_batch_size: int | None = None,
        num_workers: int | None = None,
        drop_last: bool = False,
        val_clips: int | None = None,
        seed: int = 0,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__()
        # In prediction, which joins nothing over processes, some may have no clip.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        for argument, value, least in (
            ("batch_size", batch_size, 1),
            ("val_batch_size", val_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("val_clips", val_clips, 1),
            ("seed", seed, 0),
        ):
            check_at_least(f"DataModule.{argument}", value, least)
        self.batch_size, self.val_batch_size = batch_size, val_batch_size or batch_size
        self.num_workers, self.drop_last, self.val_clips, self.seed = num_workers, drop_last, val_clips, seed
        self._datasets: Mapping[str, Samples] = {}
        self._failures: dict[str, BrokenVideos] = {}
        self._loaders: list[ClipLoader] = []
        self._resumed: dict[str, int] = {}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes: a sample with label i is of the class class_names[i]. Empty if there are no classes.

        Known after `setup`. The same for training and validation, and for latents of the videos.
        """
        return []

    def train_dataloader(self) -> ClipLoader:
        sampler = self._sampler("train", self.batch_size, training=True)
        return self._loader(
            self._datasets["train"],
            sampler,
            self._failures["train"],
            start=self._start(sampler),
            # Overfitting on purpose means the same clips again and again.
            repeat=bool(getattr(self.trainer, "overfit_batches", 0)),
            replace=self.replace_broken,
        )

    def val_dataloader(self) -> ClipLoader:
        sampler = self._sampler("val", self.val_batch_size)
        return self._loader(self._datasets["val"], sampler, self._failures["val"])

    def test_dataloader(self) -> ClipLoader:
        """The validation clips."""
        return self.val_dataloader()

    def predict_dataloader(self) -> ClipLoader:
        """The validation clips."""
        return self.val_dataloader()

    def teardown(self, stage: str) -> None:
        """End the worker processes."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()

    def names(self, indices: Sequence[int]) -> list[str]:
        """What messages call training videos, by the "index" of a batch."""
        dataset = self._datasets["train"]
        videos = {int(video): position for position, video in enumerate(dataset.videos)}
        return [dataset.name(videos[index]) for index in indices if index in videos]

    def state_dict(self) -> dict[str, int]:
        """The position in training: epoch, batches of it the trainer is done with, and what their order depends on."""
        loader = self._training_loader()
        if loader is None:
            return {}
        progress = self._fit_loop().epoch_loop.batch_progress.current
        epoch, batches = loader.epoch, loader.batches
        if progress.ready > progress.processed:  # a batch was handed out, and the step on it did not end
            batches -= 1
        if batches >= self._fit_loop().max_batches:
            epoch, batches = epoch + 1, 0
        return {"epoch": epoch, "batches": batches, **self._what_order_depends_on(loader.clip_sampler)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take the position in training from a checkpoint.

        Raises:
            InvalidArgumentError: It is none.
        """
        names = ("epoch", "batches", "seed", "num_samples", "global_batch")
        counts = [state_dict.get(name) for name in names] if isinstance(state_dict, dict) and state_dict else []
        if not all(isinstance(count, int) and 0 <= count < 2**40 for count in counts):
            problem = "holds a position in the data that is none"
            raise InvalidArgumentError(
                "ckpt_path", getattr(self.trainer, "ckpt_path", "it"), problem, "Give another checkpoint."
            )
        self._resumed = dict(state_dict or {})

    def _training_loader(self) -> ClipLoader | None:
        """The loader that the trainer trains from, if it does."""
        loader = None if self.trainer is None else self.trainer.train_dataloader
        return loader if isinstance(loader, ClipLoader) else None

    def _fit_loop(self) -> Any:
        assert self.trainer is not None
        return self.trainer.fit_loop

    def _what_order_depends_on(self, sampler: EpochSampler) -> dict[str, int]:
        return {"seed": self.seed, "num_samples": sampler.num_samples, "global_batch": sampler.global_batch}

    def _start(self, sampler: EpochSampler) -> tuple[int, int]:
        """Epoch and batch at which a new training loader starts."""
        loader = self._training_loader()
        if loader is not None and loader.started:  # reload_dataloaders_every_n_epochs
            return loader.epoch + 1, 0
        if not self._resumed:
            return 0, 0
        now = self._what_order_depends_on(sampler)
        before = {name: self._resumed[name] for name in now}
        if before != now:
            logger.warning(
                "the data changed since the checkpoint (now %s, then %s): batches will be others", now, before
            )
        return self._resumed["epoch"], self._resumed["batches"]

    def limit_validation(self, num_clips: int) -> None:
        """Limit the number of validation clips, spread evenly over the videos; call it before `setup`."""
        self.val_clips = num_clips

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _sampler(self, split: str, batch_size: int, training: bool = False) -> EpochSampler:
        rank, world_size = self._rank_and_world_size()
        return EpochSampler(
            len(self._datasets[split]),
            batch_size,
            rank=rank,
            world_size=world_size,
            seed=self.seed,
            training=training,
            drop_last=self.drop_last,
        )

    def _check_processes(self, stage: str | None) -> None:
        """Raise `InvalidArgumentError` if a process would have nothing to validate on.

        Lightning lets it pass by the loop at whose end the others wait for its figures.
        """
        world_size, clips = self._rank_and_world_size()[1], len(self._datasets["val"])
        if stage not in ("fit", "validate") or world_size <= clips:
            return
        assert self.trainer is not None
        if self.trainer.limit_val_batches:
            raise InvalidArgumentError(
                "Trainer.devices",
                self.trainer.num_devices,
                f"validation has {clips} clips, and each of the {world_size} processes needs one",
                "Use fewer devices, or validate on more videos (DataModule.val_clips, DataModule.num_val_videos).",
            )

    def workers_per_process(self) -> int:
        """num_workers, its default filled in."""
        if self.num_workers is not None:
            return self.num_workers
        processes = 1 if self.trainer is None else self.trainer.num_devices
        return max(1, min(8, num_cores() // processes))

    def _loader(self, dataset: Samples, sampler: EpochSampler, failures: BrokenVideos, **how: Any) -> ClipLoader:
        num_workers = self.workers_per_process()
        loader = ClipLoader(
            dataset,
            sampler,
            failures,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **how,
        )
        self._loaders.append(loader)
        return loader
