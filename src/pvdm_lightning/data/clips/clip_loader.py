"""Samples -> batches, pass after pass, resumable in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from pvdm_lightning.data.clips.broken import BrokenVideos, Samples, SkipBroken, collate_unbroken
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.workers import batches_of, worker_loader


class ClipLoader:
    """Batches of samples; each pass over training data is the next epoch.

    It wraps a `DataLoader` instead of being one: Lightning would replace the sampler of a `DataLoader` by its own. It
    keeps its own count of epochs and batches: Lightning's epoch is one too high after a restart from a checkpoint
    written at an epoch's end.

    Args:
        dataset: The samples.
        sampler: Which of them come when.
        failures: Takes note of broken videos.
        start: Epoch and number of batches to leave out in it, for the first pass.
        repeat: Whether every pass is the same epoch again.
        replace: Whether other random clips replace those of broken videos.
        workers_argument: That the number of workers came from.
        loader_args: For the `DataLoader`: num_workers, pin_memory and so on.

    Attributes:
        epoch: Number of the pass under way, or of the first one if there was none.
        batches: How many batches of that epoch were handed out, those left out included.
        started: Whether there was a pass.
    """

    def __init__(
        self,
        dataset: Samples,
        sampler: EpochSampler,
        failures: BrokenVideos,
        *,
        start: tuple[int, int] = (0, 0),
        repeat: bool = False,
        replace: bool = False,
        workers_argument: str = "DataModule.num_workers",
        **loader_args: Any,
    ) -> None:
        self.dataset, self.clip_sampler, self.failures, self.repeat = dataset, sampler, failures, repeat
        self.epoch, self.batches = start
        self.started = False
        self._workers_argument = workers_argument
        self._guarded, self._loader_args = SkipBroken(dataset, replace), loader_args
        self._loader = self._new_loader()

    def _new_loader(self) -> DataLoader[Any]:
        return worker_loader(
            self._guarded, batch_sampler=self.clip_sampler, collate_fn=collate_unbroken, **self._loader_args
        )

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        return len(self.clip_sampler)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # A generator: nothing of this happens before the first batch is asked for, so a pass that Lightning begins and
        # drops (it does so when it resumes) is not counted.
        if self.started:
            self.epoch, self.batches = self.epoch + (not self.repeat), 0
        self.started = True
        self.clip_sampler.epoch, self.clip_sampler.first_batch = self.epoch, self.batches
        for batch, failures in batches_of(self._loader, self._workers_argument):
            for failure in failures:
                self.failures.add(*failure)
            self.batches += 1
            if batch is not None:
                yield batch

    def close(self) -> None:
        """End the worker processes; another pass starts new ones."""
        self._loader = self._new_loader()
