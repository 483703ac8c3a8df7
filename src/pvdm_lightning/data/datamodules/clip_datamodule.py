"""The base of all data modules of videos."""

import logging
from abc import abstractmethod
from itertools import islice

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.split_summary import summarise_split
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.evaluation_clips import EvaluationClips
from pvdm_lightning.data.index.check import CheckedVideo, check_index
from pvdm_lightning.data.videos.contexts import Contexts, VideosWithContext
from pvdm_lightning.data.videos.source import IndexedVideos, VideoSource, conditions_of
from pvdm_lightning.data.videos.videos_in_arrays import VideosInArrays
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.escaping import printable
from pvdm_lightning.memory import check_memory

NAMED = 10
"""Broken videos of a split that are named; the others are counted."""
logger = logging.getLogger(__name__)


class ClipDataModule(EvaluationClips):
    """Clips of videos for training, validation and prediction.

    Batches are dicts, the same for all sets: "clip" uint8 [B, 3, S, H, W], "label" int64 [B] (-1 unknown), "index"
    int64 [B] (the video's position in its split), and further parts of the condition that the videos have, such as
    "context" float32 [B, N, E]. With pairs also "previous" uint8 [B, 3, S, H, W], the clip right
    before "clip", and "has_previous" bool [B]: False, with zeros, for a video too short for a pair. Shorter videos
    are skipped.

    In training, windows start anywhere and all draws follow from (seed, epoch, video); in validation there is one
    clip a video, from its middle. A resumed run continues with the next sample, in the middle of an epoch too.

    Args:
        frames: Frames in a clip. Default: as the model takes; see `default_to`.
        resolution: Height and width in pixels, or one number for both. Default: as the model takes.
        clips_per_sample: 1 for single clips, 2 for pairs of consecutive clips. Default: as the model takes.
        stride: Source frames from one clip frame to the next.
        hop: Source frames from the start of a pair's first clip to the start of its second. Default: frames * stride.
        horizontal_flip: Whether to mirror half of the training samples, at random.
        batch_size: Training samples in a batch, per process.
        val_batch_size: As batch_size, for validation. Default: the same.
        num_workers: Processes that read samples, per training process. Default: its share of the cores, at most 8.
        drop_last: Whether to drop an epoch's last batch if it is not full.
        val_clips: Maximum number of validation clips, spread evenly over the videos. Default: all.
        max_bad_fraction: The share of videos that may be broken before the run stops.
        seed: Seed of the order and of all random numbers.
        context: A safetensors file with vectors [N E] for each video, such as embeddings of its caption, by its path
            below the root of the set; or a folder of such files. See `write_contexts`.
    """

    replace_broken = True

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
        context: str | None = None,
    ) -> None:
        check_numbers("DataModule", locals())
        super().__init__(batch_size, val_batch_size, num_workers, drop_last, val_clips, seed)
        sides = (resolution,) if isinstance(resolution, int) else resolution or ()
        for argument, value, least in (
            ("frames", frames, 1),
            ("stride", stride, 1),
            ("hop", hop, 1),
            *(("resolution", side, 1) for side in sides),
        ):
            check_at_least(f"DataModule.{argument}", value, least)
        if clips_per_sample not in (None, 1, 2):
            raise InvalidArgumentError(
                "DataModule.clips_per_sample", clips_per_sample, "is neither 1 nor 2", "Give 1 for clips, 2 for pairs."
            )
        if not 0 <= max_bad_fraction <= 1:
            raise InvalidArgumentError(
                "DataModule.max_bad_fraction", max_bad_fraction, "is not a fraction", "Give a number from 0 to 1."
            )
        self.frames, self.resolution, self.clips_per_sample = frames, resolution, clips_per_sample
        self.stride, self.hop, self.horizontal_flip = stride, hop, horizontal_flip
        self.max_bad_fraction, self.context = max_bad_fraction, context
        self._test_clips = None
        self._sources: tuple[VideoSource, VideoSource] | None = None
        self._captions: dict[str, str] = {}
        self._datasets: dict[str, ClipDataset] = {}

    @abstractmethod
    def open_sources(self) -> tuple[VideoSource, VideoSource]:
        """The videos to train on and those to validate on.

        Raises:
            InvalidArgumentError: If the set is not where it should be.
        """

    def default_to(self, clip_shape: tuple[int, int, int], clips_per_sample: int) -> None:
        """Take what was left out from the model to be trained; what was given stays.

        Args:
            clip_shape: (frames, height, width) of the clips that the model takes.
            clips_per_sample: How many clips in a row it takes.
        """
        frames, height, width = clip_shape
        self.frames = self.frames or frames
        self.resolution = self.resolution or (height, width)
        self.clips_per_sample = self.clips_per_sample or clips_per_sample

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of a clip; known after `setup`."""
        return (self._datasets["train"].windows.frames, *self._datasets["train"].resolution)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes: a sample with label i is of the class class_names[i]. Empty if there are no classes."""
        return list(getattr(self._open()[0], "class_names", ()))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Further parts of a condition that batches have, beside the clip before, known frames and labels."""
        return conditions_of(self._open()[0])

    @property
    def context_channels(self) -> int:
        """E of `context`; 0 if there is none."""
        source = self._open()[0]
        return source.contexts.size[1] if isinstance(source, VideosWithContext) else 0

    def clips(self, split: str) -> ClipDataset:
        """The data set of a split, "train" or "val"; there after `setup`."""
        return self._datasets[split]

    def prepare_data(self) -> None:
        """Index the videos; Lightning has one process of each machine do it, before the others read the result."""
        self._open()

    def setup(self, stage: str | None = None) -> None:
        """Build the data sets, for all stages at once.

        Raises:
            InvalidArgumentError: The videos are not there, too many are broken, none has a clip, or there are fewer to
                validate on than processes.
        """
        if not self._datasets:
            self._build()
        self._check_processes(stage)

    def _build(self) -> None:
        windows, resolution = self._windows(), self._resolution()
        self._check_memory(windows, resolution)
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

    def _check_memory(self, windows: Windows, resolution: tuple[int, int]) -> None:
        """Raise `InvalidArgumentError` if the clips of one batch, or of one sample, do not fit into memory."""
        size = f"{windows.frames} frames of {resolution[0]} x {resolution[1]}"
        sample = 3 * windows.frames * windows.clips * resolution[0] * resolution[1]
        check_memory("DataModule.frames/DataModule.resolution", size, sample, "a sample")
        samples = max((len(source.lengths) for source in self._open()), default=0)
        check_memory(
            "DataModule.batch_size", self.batch_size, min(self.batch_size, samples) * sample, f"a batch ({size} pixels)"
        )

    def labels(self) -> dict[str, int]:
        """Label of each video by its name, training videos first; -1 for one without a class."""
        return {s.name(place): int(label) for s in self._open() for place, label in enumerate(s.labels)}

    def captions(self) -> dict[str, str]:
        """Caption of each video that has one in a table, by its path below the root, as `write_contexts` takes it."""
        self._open()
        return dict(self._captions)

    def check(self, progress: bool = True) -> list[CheckedVideo]:
        """Check every video of the set, training videos first; `setup` is not needed.

        Args:
            progress: Whether a bar shows how far it is.
        """
        sources = (s.videos if isinstance(s, VideosWithContext) else s for s in self._open())
        checked: list[CheckedVideo] = []
        for source in sources:
            if isinstance(source, IndexedVideos):
                checked += check_index(source.index, progress)
            elif isinstance(source, VideosInArrays):
                checked += source.check(progress)
        return list({video.path: video for video in checked}.values())  # a lone video is on both sides

    def _open(self) -> tuple[VideoSource, VideoSource]:
        if self._sources is None:
            train, val = self.open_sources()
            if self.context is not None:
                contexts = Contexts(self.context)
                train, val = VideosWithContext(train, contexts), VideosWithContext(val, contexts)
            self._sources = train, val
        return self._sources

    def _windows(self) -> Windows:
        if self.frames is None or self.clips_per_sample is None:
            raise _not_given("clips_per_sample" if self.frames else "frames")
        return Windows(self.frames, self.stride, self.hop, self.clips_per_sample)

    def _resolution(self) -> tuple[int, int]:
        if self.resolution is None:
            raise _not_given("resolution")
        if isinstance(self.resolution, int):
            return self.resolution, self.resolution
        return self.resolution[0], self.resolution[1]

    def _check(self, split: str) -> None:
        """Log a summary and the broken videos of a split; raise if they are too many or no clip is left."""
        dataset = self._datasets[split]
        source, windows = dataset.source, dataset.windows
        if self._rank_and_world_size()[0] == 0:
            logger.info(summarise_split(split, source, windows))
            for index, problem in islice(source.problems.items(), NAMED):
                logger.warning("%s cannot be read and is skipped: %s", printable(source.name(index)), problem)
            if len(source.problems) > NAMED:
                logger.warning(
                    "and %d more: `pvdm check-data --report FILE` lists them all", len(source.problems) - NAMED
                )
        self._failures[split] = self._new_failures(source)
        self._failures[split].check()
        self._check_not_empty(split, dataset)


def _not_given(argument: str) -> InvalidArgumentError:
    problem = "is not given, and there is no model to take it from"
    return InvalidArgumentError(f"DataModule.{argument}", None, problem, "Give it.")
