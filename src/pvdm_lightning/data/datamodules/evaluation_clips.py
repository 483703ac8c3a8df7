"""Clips that metrics are computed on."""

from __future__ import annotations

from abc import abstractmethod

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.listed_clips import ListedClips
from pvdm_lightning.data.clips.sampler import EpochSampler, ReferenceSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.resumable_datamodule import ResumableDataModule
from pvdm_lightning.data.videos.source import ConcatVideos, VideoSource
from pvdm_lightning.errors import InvalidArgumentError


class EvaluationClips(ResumableDataModule):
    """A data module that also provides the clips of evaluations: one per video, or random ones as for FVD."""

    stride: int
    hop: int | None
    max_bad_fraction: float
    test_split: str
    test_clips: int | None
    _datasets: dict[str, ClipDataset]

    @abstractmethod
    def _open(self) -> tuple[VideoSource, VideoSource]:
        """Sources of the training and of the validation videos."""

    def select_test_clips(self, split: str, num_clips: int | None) -> None:
        """Choose the clips of `test_dataset`.

        Args:
            split: "train", "val" or "all".
            num_clips: Their maximum number; None for all.
        """
        self.test_split, self.test_clips = split, num_clips

    def test_dataset(self) -> ClipDataset:
        """One clip per video, from its middle, of the attribute `test_split` ("train", "val" or "all").

        At most `test_clips` of them, evenly spread over the videos; None for all.
        """
        train = self._datasets["train"]
        windows = Windows(train.windows.frames, self.stride, self.hop, train.windows.clips)
        source = self._source(self.test_split)
        return ClipDataset(source, windows, train.resolution, seed=self.seed, max_samples=self.test_clips)

    def test_dataloader(self) -> ClipLoader:
        """The clips of `test_dataset`, in order, each once over all processes."""
        dataset = self.test_dataset()
        self._check_not_empty(self.test_split, dataset)
        rank, world_size = self._rank_and_world_size()
        sampler = EpochSampler(len(dataset), self.val_batch_size, rank=rank, world_size=world_size, seed=self.seed)
        return self._loader(dataset, sampler, self._new_failures(dataset.source))

    def reference_dataset(self, split: str = "train", frames: int | None = None) -> ClipDataset:
        """Random single clips of the videos that are long enough for one.

        Args:
            split: "train", "val", or "all" for both together.
            frames: Frames in a clip; None for as many as in training.
        """
        windows = Windows(frames or self._datasets["train"].windows.frames, self.stride)
        resolution = self._datasets["train"].resolution
        return ClipDataset(self._source(split), windows, resolution, random_start=True, seed=self.seed)

    def reference_dataloader(
        self,
        split: str = "train",
        num_clips: int | None = 2048,
        frames: int | None = None,
        batch_size: int | None = None,
    ) -> ClipLoader:
        """Real clips for FVD, drawn as StyleGAN-V does.

        One random clip of each video, in random order; videos too short for a clip are skipped. If more clips than
        videos are wanted, further clips of the same videos follow.

        Args:
            split: "train", "val", or "all" for both together.
            num_clips: How many clips, over all processes; None for one per video.
            frames: Frames in a clip; None for as many as in training.
            batch_size: Clips in a batch, per process; None for as many as in validation.

        Raises:
            InvalidArgumentError: If no video has that many.
        """
        dataset = self.reference_dataset(split, frames)
        self._check_not_empty(split, dataset)
        rank, world_size = self._rank_and_world_size()
        sampler = ReferenceSampler(
            num_clips or len(dataset),
            len(dataset),
            batch_size or self.val_batch_size,
            rank=rank,
            world_size=world_size,
            seed=self.seed,
        )
        return self._loader(dataset, sampler, self._new_failures(dataset.source), replace=True)

    def reference_clips(
        self, split: str = "train", num_clips: int = 2048, frames: int | None = None, draw: int = 0
    ) -> ListedClips:
        """The clips of `reference_dataloader`, as a list; draw 1, 2 ... are others, with the seeds that follow."""
        dataset = self.reference_dataset(split, frames)
        self._check_not_empty(split, dataset)
        dataset.seed += draw
        sampler = ReferenceSampler(num_clips, len(dataset), 1, rank=0, world_size=1, seed=dataset.seed)
        epochs, positions = sampler.keys()
        keys = zip(epochs.tolist(), positions.tolist())
        return ListedClips(dataset, [dataset.draw((epoch, position, 0))[:2] for epoch, position in keys])

    def listed_dataloader(self, clips: ListedClips, batch_size: int) -> ClipLoader:
        """Listed clips in order, each once over all processes; broken videos are left out."""
        rank, world_size = self._rank_and_world_size()
        sampler = EpochSampler(len(clips), batch_size, rank=rank, world_size=world_size)
        return self._loader(clips, sampler, self._new_failures(clips.clips.source))

    def _source(self, split: str) -> VideoSource:
        return ConcatVideos(self._open()) if split == "all" else self._datasets[split].source

    def _new_failures(self, source: VideoSource) -> BrokenVideos:
        return BrokenVideos(len(source.problems), len(source.lengths), self.max_bad_fraction)

    def _check_not_empty(self, split: str, dataset: ClipDataset) -> None:
        windows = dataset.windows
        if len(dataset) == 0:
            longest = int(dataset.source.lengths.max(initial=0))
            raise InvalidArgumentError(
                "DataModule.frames",
                windows.frames,
                f"no {split} video has the {windows.clip_span} frames of a clip, the longest one has {longest}",
                "Ask for fewer frames or a smaller DataModule.stride"
                + (", or validate on more videos." if split == "val" else "."),
            )
