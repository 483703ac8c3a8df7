"""Clips that metrics are computed on."""

from __future__ import annotations

from abc import abstractmethod

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.chosen_clips import ChosenClips
from pvdm_lightning.data.clips.clip_choice import choose_clips
from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.datamodules.resumable_datamodule import ResumableDataModule
from pvdm_lightning.data.videos.source import ConcatVideos, VideoSource
from pvdm_lightning.errors import InvalidArgumentError


class EvaluationClips(ResumableDataModule):
    """A data module that also provides the clips of evaluations: one per video, or random ones as for FVD."""

    stride: int
    hop: int | None
    max_bad_fraction: float
    _datasets: dict[str, ClipDataset]
    _test_clips: ChosenClips | None

    @abstractmethod
    def _open(self) -> tuple[VideoSource, VideoSource]:
        """Sources of the training and of the validation videos."""

    def select_test_clips(self, clips: ChosenClips | None) -> None:
        """Choose the clips of `test_dataset`; None for the centred ones of the validation videos."""
        self._test_clips = clips

    def test_dataset(self) -> ClipDataset | ChosenClips:
        """Clips that a model is tested on: by default one per validation video, from its middle."""
        if self._test_clips is not None:
            return self._test_clips
        train = self._datasets["train"]
        windows = Windows(train.windows.frames, self.stride, self.hop, train.windows.clips)
        source = self.split_source("val")
        return ClipDataset(source, windows, train.resolution, seed=self.seed, max_samples=self.val_clips)

    def test_dataloader(self) -> ClipLoader:
        """The clips of `test_dataset`, in order, each once over all processes."""
        dataset = self.test_dataset()
        self._check_not_empty("val", dataset)
        return self.clip_loader(dataset)

    def clip_loader(self, dataset: ClipDataset | ChosenClips, batch_size: int | None = None) -> ClipLoader:
        """Batches of clips in order, each once over all processes; broken videos are left out.

        Args:
            dataset: The clips.
            batch_size: Clips in a batch, per process; None for as many as in validation.
        """
        rank, world_size = self._rank_and_world_size()
        sampler = EpochSampler(len(dataset), batch_size or self.val_batch_size, rank=rank, world_size=world_size)
        return self._loader(dataset, sampler, self._new_failures(dataset.source))

    def reference_dataloader(
        self,
        split: str = "train",
        num_clips: int | None = 2048,
        frames: int | None = None,
        batch_size: int | None = None,
    ) -> ClipLoader:
        """Real clips for FVD: one random clip of each video, in random order; too short videos are skipped.

        If more clips than videos are wanted, further clips of the same videos follow.

        Args:
            split: "train", "val", or "all" for both together.
            num_clips: How many clips, over all processes; None for one per video.
            frames: Frames in a clip; None for as many as in training.
            batch_size: Clips in a batch, per process; None for as many as in validation.

        Raises:
            InvalidArgumentError: If no video has that many.
        """
        source, train = self.split_source(split), self._datasets["train"]
        windows = Windows(frames or train.windows.frames, self.stride)
        clips = choose_clips(
            source.lengths, source.labels, source.name, windows, num=num_clips, reuse=True, seed=self.seed
        )
        dataset = ChosenClips(source, windows, train.resolution, clips)
        self._check_not_empty(split, dataset)
        return self.clip_loader(dataset, batch_size)

    def split_source(self, split: str) -> VideoSource:
        """The videos of a split: "train", "val", or "all" for both together."""
        return ConcatVideos(self._open()) if split == "all" else self._datasets[split].source

    def _new_failures(self, source: VideoSource) -> BrokenVideos:
        return BrokenVideos(len(source.problems), len(source.lengths), self.max_bad_fraction)

    def _check_not_empty(self, split: str, dataset: ClipDataset | ChosenClips) -> None:
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
