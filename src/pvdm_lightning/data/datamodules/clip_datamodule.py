"""What all data modules share: from two sources of videos to loaders, summaries and errors."""

import logging
from abc import abstractmethod
from typing import Any

import torch
from lightning import LightningDataModule

from pvdm_lightning.data.check import CheckedVideo, check_index
from pvdm_lightning.data.clip_loader import ClipLoader, EpochSampler, Failures, ReferenceSampler
from pvdm_lightning.data.split_summary import summarise_split
from pvdm_lightning.data.video_dataset import ClipDataset, IndexedVideos, JoinedVideos, VideoSource
from pvdm_lightning.data.video_index import num_cores
from pvdm_lightning.data.windows import Windows
from pvdm_lightning.errors import UserError

logger = logging.getLogger(__name__)


class ClipDataModule(LightningDataModule):
    """Clips of videos for training, validation and prediction.

    Batches are dicts, the same for all sets: "clip" uint8 [B, 3, S, H, W], "label" int64 [B] (-1 unknown), "index"
    int64 [B] (the video's position in its split). With pairs also "previous" uint8 [B, 3, S, H, W], the clip right
    before "clip", and "has_previous" bool [B]: False, with zeros, for a video too short for a pair. Shorter videos
    are skipped.

    In training, windows start anywhere and all draws follow from (seed, epoch, video); in validation there is one
    clip a video, from its middle. A run resumed in the middle of an epoch goes on with the very next sample.

    Args:
        frames: Frames in a clip. Left out: as the model takes.
        resolution: Height and width in pixels, or one number for both. Left out: as the model takes.
        clips_per_sample: 1 for single clips, 2 for pairs of consecutive clips. Left out: as the model takes.
        stride: Source frames from one clip frame to the next.
        hop: Source frames from the start of a pair's first clip to the start of its second. Left out: frames * stride.
        horizontal_flip: Whether to mirror every other training sample, at random.
        batch_size: Training samples in a batch, per process.
        val_batch_size: As batch_size, for validation. Left out: the same.
        num_workers: Processes that read samples, per training process. Left out: its share of the cores, at most 8.
        drop_last: Whether to leave out an epoch's last batch if it is not full.
        val_clips: At most so many validation clips, evenly spread over the videos. Left out: all.
        max_bad_fraction: The share of videos that may be broken before the run stops.
        seed: Seed of the order and of all random draws.
    """

    def __init__(
        self,
        frames: int | None = None,
        resolution: int | tuple[int, int] | None = None,
        clips_per_sample: int | None = None,
        stride: int = 1,
        hop: int | None = None,
        horizontal_flip: bool = False,
        batch_size: int = 8,
        val_batch_size: int | None = None,
        num_workers: int | None = None,
        drop_last: bool = False,
        val_clips: int | None = None,
        max_bad_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # With fewer validation videos than processes, some processes have none.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        sides = (resolution,) if isinstance(resolution, int) else resolution or ()
        for flag, value, least in (
            ("frames", frames, 1),
            ("stride", stride, 1),
            ("hop", hop, 1),
            ("batch_size", batch_size, 1),
            ("val_batch_size", val_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("val_clips", val_clips, 1),
            ("seed", seed, 0),
            *(("resolution", side, 1) for side in sides),
        ):
            if value is not None and value < least:
                raise UserError(f"--data.{flag}", value, f"is less than {least}", f"Give {least} or more.")
        if clips_per_sample not in (None, 1, 2):
            raise UserError(
                "--data.clips_per_sample", clips_per_sample, "is neither 1 nor 2", "Give 1 for clips, 2 for pairs."
            )
        if not 0 <= max_bad_fraction <= 1:
            raise UserError("--data.max_bad_fraction", max_bad_fraction, "is no share", "Give a number from 0 to 1.")
        self.frames, self.resolution, self.clips_per_sample = frames, resolution, clips_per_sample
        self.stride, self.hop, self.horizontal_flip = stride, hop, horizontal_flip
        self.batch_size, self.val_batch_size = batch_size, val_batch_size or batch_size
        self.num_workers = num_workers
        self.drop_last, self.val_clips, self.max_bad_fraction, self.seed = drop_last, val_clips, max_bad_fraction, seed
        self._sources: tuple[VideoSource, VideoSource] | None = None
        self._datasets: dict[str, ClipDataset] = {}
        self._failures: dict[str, Failures] = {}
        self._loaders: list[ClipLoader] = []
        self._resumed: dict[str, int] = {}

    @abstractmethod
    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        """The videos to train on and those to validate on.

        Raises:
            UserError: If the set is not where it should be.
        """

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of a clip; known after `setup`."""
        return (self._datasets["train"].windows.frames, *self._datasets["train"].resolution)

    def prepare_data(self) -> None:
        """Index the videos; Lightning has one process of each machine do it, before the others read the result."""
        self._open()

    def setup(self, stage: str | None = None) -> None:
        """Build the data sets, for all stages at once."""
        if self._datasets:
            return
        windows, resolution = self._windows(), self._resolution()
        for split, source in zip(("train", "val"), self._open()):
            training = split == "train"
            self._datasets[split] = ClipDataset(
                source,
                windows,
                resolution,
                random_start=training,
                horizontal_flip=training and self.horizontal_flip,
                seed=self.seed,
                max_samples=None if training else self.val_clips,
            )
            self._check(split)

    def train_dataloader(self) -> ClipLoader:
        sampler = self._sampler("train", self.batch_size, training=True)
        return self._loader(
            self._datasets["train"],
            sampler,
            self._failures["train"],
            start=self._start(sampler),
            # Overfitting on purpose means the same clips again and again.
            repeat=bool(getattr(self.trainer, "overfit_batches", 0)),
            stand_ins=True,
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

    def reference_dataloader(
        self, split: str = "train", num_clips: int | None = 2048, frames: int | None = None
    ) -> ClipLoader:
        """Real clips for FVD, drawn as StyleGAN-V does.

        Of videos in random order a random clip each; videos too short for a clip are left out. Where there are fewer
        videos than clips wanted, further clips of the same videos follow.

        Args:
            split: "train", "val", or "all" for both together.
            num_clips: How many clips, over all processes; None for one a video.
            frames: Frames in a clip; None for as many as in training.

        Raises:
            UserError: If no video has that many.
        """
        windows = Windows(frames or self._datasets["train"].windows.frames, self.stride)
        source = JoinedVideos(self._open()) if split == "all" else self._datasets[split].source
        resolution = self._datasets["train"].resolution
        dataset = ClipDataset(source, windows, resolution, random_start=True, seed=self.seed)
        self._refuse_empty(split, dataset)
        rank, world_size = self._rank_and_world_size()
        failures = Failures(len(source.problems), len(source.lengths), self.max_bad_fraction)
        sampler = ReferenceSampler(
            num_clips or len(dataset),
            len(dataset),
            self.val_batch_size,
            rank=rank,
            world_size=world_size,
            seed=self.seed,
        )
        return self._loader(dataset, sampler, failures, stand_ins=True)

    def teardown(self, stage: str) -> None:
        """End the worker processes."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Look at every video of the set, training first; nothing has to be set up.

        Args:
            progress: Whether a bar shows how far it is.
        """
        indices = (source.index for source in self._open() if isinstance(source, IndexedVideos))
        return [video for index in indices for video in check_index(index, progress)]

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
        self._resumed = dict(state_dict)

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

    def _open(self) -> tuple[VideoSource, VideoSource]:
        if self._sources is None:
            self._sources = self.open_sources()
        return self._sources

    def _from_model(self, flag: str, attribute: str) -> Any:
        """An attribute of the model that is being trained."""
        model = None if self.trainer is None else self.trainer.lightning_module
        if not hasattr(model, attribute):
            raise UserError(f"--data.{flag}", None, "is not given, and there is no model to take it from", "Give it.")
        return getattr(model, attribute)

    def _windows(self) -> Windows:
        frames = self.frames or self._from_model("frames", "clip_shape")[0]
        clips = self.clips_per_sample or self._from_model("clips_per_sample", "clips_per_sample")
        return Windows(frames, self.stride, self.hop, clips)

    def _resolution(self) -> tuple[int, int]:
        if self.resolution is None:
            return tuple(self._from_model("resolution", "clip_shape")[1:])
        if isinstance(self.resolution, int):
            return self.resolution, self.resolution
        return self.resolution[0], self.resolution[1]

    def _check(self, split: str) -> None:
        """Sum a split up in one line, name its broken videos, and refuse it if they are too many or no clip is left."""
        dataset = self._datasets[split]
        source, windows = dataset.source, dataset.windows
        if self._rank_and_world_size()[0] == 0:
            logger.info(summarise_split(split, source, windows))
            for index, problem in source.problems.items():
                logger.warning("%s cannot be read and is left out: %s", source.name(index), problem)
        self._failures[split] = Failures(len(source.problems), len(source.lengths), self.max_bad_fraction)
        self._failures[split].check()
        self._refuse_empty(split, dataset)

    def _refuse_empty(self, split: str, dataset: ClipDataset) -> None:
        windows = dataset.windows
        if len(dataset) == 0:
            longest = int(dataset.source.lengths.max(initial=0))
            raise UserError(
                "--data.frames",
                windows.frames,
                f"no {split} video has the {windows.clip_span} frames of a clip, the longest one has {longest}",
                "Ask for fewer frames or a smaller --data.stride"
                + (", or validate on more videos." if split == "val" else "."),
            )

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

    def _loader(self, dataset: ClipDataset, sampler: EpochSampler, failures: Failures, **how: Any) -> ClipLoader:
        num_workers = self.num_workers
        if num_workers is None:
            processes = 1 if self.trainer is None else self.trainer.num_devices
            num_workers = max(1, min(8, num_cores() // processes))
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
