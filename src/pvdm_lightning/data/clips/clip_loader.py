"""Samples -> batches: each process its own share, every epoch exactly once, broken videos named and counted."""

import logging
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from pvdm_lightning.data.clips.video_dataset import Key, Sample
from pvdm_lightning.data.videos.video_info import DecodeError
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)

ORDER = 0  # sets the draw of an epoch's order apart from the draws of samples
STAND_IN = 2  # and the choice of stand-ins from both
ATTEMPTS = 16  # stand-ins tried for one broken sample before the batch goes without

BrokenVideo = tuple[str, str]  # name of the video, what is wrong with it


class Samples(Protocol):
    """A set of samples, one a video, all of whose draws follow from its seed and the key.

    Attributes:
        seed: Seed of the draws.
    """

    seed: int

    def __len__(self) -> int: ...

    def __getitem__(self, key: Key) -> Sample:
        """The sample of a video; raises `DecodeError` if it cannot be read."""
        ...

    def name(self, position: int) -> str:
        """What messages call the video of a sample."""
        ...


class EpochSampler:
    """The keys of a process's batches, epoch by epoch.

    The order of an epoch is a permutation drawn from (seed, epoch), the same on every process; it is cut into global
    batches, and each of those is dealt out to the processes. Whatever the position in the epoch, nothing is lost or
    repeated, and the rest of an epoch can be had without its beginning.

    Args:
        num_samples: Samples in an epoch, over all processes.
        batch_size: Samples in a batch, per process.
        rank: Number of this process.
        world_size: Number of processes.
        seed: Seed of the order.
        training: Orders are drawn, and every process gets the same number of batches, as gradients have to be
            averaged: the last global batch is dealt out evenly, and left out if it has fewer samples than there are
            processes. A set of fewer samples than processes is repeated. Otherwise samples come in order, each
            exactly once, and a process may get one batch less than others.
        drop_last: In training, leave out the last global batch unless it is full, or the only one.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        training: bool = False,
        drop_last: bool = False,
    ) -> None:
        self.num_samples, self.batch_size, self.rank, self.world_size = num_samples, batch_size, rank, world_size
        self.seed, self.training, self.drop_last = seed, training, drop_last
        self.epoch = 0
        self.first_batch = 0

    @property
    def global_batch(self) -> int:
        """Samples in a batch over all processes."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        """Batches in a whole epoch, on this process."""
        full, rest = divmod(self.num_samples, self.global_batch)
        if not self.training:
            return full + (rest > self.rank)
        smallest = self.global_batch if self.drop_last else self.world_size
        return max(full + (rest >= smallest), min(self.num_samples, 1))

    def __iter__(self) -> Iterator[list[Key]]:
        """The keys (epoch, position, attempt 0) of the batches from `first_batch` on."""
        epochs, positions = self.keys()
        for batch in range(self.first_batch, len(self)):
            first = batch * self.global_batch + self.rank
            mine = slice(first, (batch + 1) * self.global_batch, self.world_size)
            yield [(int(epoch), int(position), 0) for epoch, position in zip(epochs[mine], positions[mine])]

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Epoch and position of each sample of the pass, over all processes."""
        order = np.arange(self.num_samples)
        if self.training:
            np.random.default_rng((ORDER, self.seed, self.epoch)).shuffle(order)
            if 0 < self.num_samples < self.world_size:
                order = np.resize(order, self.world_size)
        return np.full(len(order), self.epoch), order


class ReferenceSampler(EpochSampler):
    """Random clips for a metric: the first `num_samples` samples of endless training epochs, each exactly once.

    Args:
        num_samples: How many clips, over all processes.
        num_videos: Samples in an epoch: beyond these, the same videos are drawn from again.
        batch_size: Samples in a batch, per process.
        rank: Number of this process.
        world_size: Number of processes.
        seed: Seed of the orders.
    """

    def __init__(
        self, num_samples: int, num_videos: int, batch_size: int, *, rank: int, world_size: int, seed: int
    ) -> None:
        super().__init__(num_samples, batch_size, rank=rank, world_size=world_size, seed=seed)
        self.num_videos = num_videos

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        passes = -(-self.num_samples // self.num_videos)
        orders = [
            np.random.default_rng((ORDER, self.seed, number)).permutation(self.num_videos) for number in range(passes)
        ]
        epochs = np.repeat(np.arange(passes), self.num_videos)
        return epochs[: self.num_samples], np.concatenate(orders)[: self.num_samples]


class SkipBroken(Dataset[tuple[Sample | None, list[BrokenVideo]]]):
    """Samples together with the failures met on the way; runs in the workers, so it only reports them.

    In training a broken sample's place is taken by a clip drawn at random from another video, drawn at random too, so
    that all processes keep the same batch sizes. In evaluation nothing stands in: it would count twice.
    """

    def __init__(self, dataset: Samples, stand_ins: bool) -> None:
        self.dataset, self.stand_ins = dataset, stand_ins

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[Sample | None, list[BrokenVideo]]:
        epoch, position, attempt = key
        failures: list[BrokenVideo] = []
        for attempt in range(ATTEMPTS if self.stand_ins else 1):
            try:
                return self.dataset[epoch, position, attempt], failures
            except DecodeError as error:
                failures.append((self.dataset.name(position), str(error)))
            draw = np.random.default_rng((STAND_IN, self.dataset.seed, epoch, key[1], attempt))
            position = int(draw.integers(len(self.dataset)))
        return None, failures


def collate_unbroken(guarded: list[tuple[Sample | None, list[BrokenVideo]]]) -> tuple[Sample | None, list[BrokenVideo]]:
    """The samples as one batch, None if there are none, and all their failures."""
    samples = [sample for sample, _ in guarded if sample is not None]
    return (default_collate(samples) if samples else None), [failure for _, failures in guarded for failure in failures]


class BrokenVideos:
    """The videos of a set that turned out broken: each is named once, and too many of them stop the run.

    Args:
        known: How many are known to be broken beforehand.
        total: How many videos the set has.
        max_fraction: The share of broken ones that is still tolerated.
    """

    def __init__(self, known: int, total: int, max_fraction: float) -> None:
        self.known, self.total, self.max_fraction = known, total, max_fraction
        self.reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Take note of a broken video.

        Raises:
            InvalidArgumentError: If these are too many now.
        """
        if name in self.reasons:
            return
        self.reasons[name] = reason
        logger.warning("%s cannot be read and is left out: %s", name, reason)
        self.check()

    def check(self) -> None:
        """Raise `InvalidArgumentError` if there are too many."""
        broken = self.known + len(self.reasons)
        if broken > self.max_fraction * self.total:
            raise InvalidArgumentError(
                "DataModule.max_bad_fraction",
                self.max_fraction,
                f"{broken} of {self.total} videos cannot be read",
                "Find out which with `pvdm check-data`, or raise the limit.",
            )


class ClipLoader:
    """Batches of samples, pass after pass; each pass over training data is the next epoch.

    It is not a `DataLoader` but holds one: Lightning would exchange a `DataLoader`'s sampler for one of its own. It
    keeps its own count of epochs and batches: Lightning's epoch is one too high after a restart from a checkpoint
    written at an epoch's end.

    Args:
        dataset: The samples.
        sampler: Which of them come when.
        failures: Takes note of broken videos.
        start: Epoch and number of batches to leave out in it, for the first pass.
        repeat: Whether every pass is the same epoch again.
        stand_ins: Whether other random clips stand in for those of broken videos.
        loader_args: For the `DataLoader`: num_workers, pin_memory and so on.

    Attributes:
        epoch: Of the pass under way, or of the first one if there was none.
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
        stand_ins: bool = False,
        **loader_args: Any,
    ) -> None:
        self.dataset, self.clip_sampler, self.failures, self.repeat = dataset, sampler, failures, repeat
        self.epoch, self.batches = start
        self.started = False
        self._guarded, self._loader_args = SkipBroken(dataset, stand_ins), loader_args
        self._loader = self._new_loader()

    def _new_loader(self) -> DataLoader[Any]:
        return DataLoader(
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
        for batch, failures in self._loader:
            for failure in failures:
                self.failures.add(*failure)
            self.batches += 1
            if batch is not None:
                yield batch

    def close(self) -> None:
        """End the worker processes; another pass starts new ones."""
        self._loader = self._new_loader()
