"""Broken videos: skipped, replaced in training, named and counted."""

import logging
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset, default_collate

from pvdm_lightning.data.clips.clip_dataset import Key, Sample
from pvdm_lightning.data.clips.workers import to_parent
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.errors import InvalidArgumentError

logger = logging.getLogger(__name__)

REPLACEMENT = 2  # keeps the choice of replacements apart from other random numbers
ATTEMPTS = 16  # replacements tried for one broken sample before the batch goes without

BrokenVideo = tuple[str, str]  # name of the video, what is wrong with it


class Samples(Protocol):
    """A set of samples, one per video; all random numbers follow from its seed and the key.

    Attributes:
        seed: Seed of the draws.
        videos: int [N], the "index" of each sample.
    """

    seed: int
    videos: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, key: Key) -> Sample:
        """The sample of a video; raises `DecodeError` if it cannot be read."""
        ...

    def name(self, position: int) -> str:
        """What messages call the video of a sample."""
        ...


class SkipBroken(Dataset[tuple[Sample | None, list[BrokenVideo]] | Exception]):
    """Reads samples and reports broken videos instead of raising; runs in the workers.

    There, errors of other kinds are returned, too; see `workers`.

    In training a broken sample is replaced by a random clip of another random video, so
    that all processes keep the same batch sizes. In evaluation nothing stands in: it would count twice.
    """

    def __init__(self, dataset: Samples, replace: bool) -> None:
        self.dataset, self.replace = dataset, replace

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> tuple[Sample | None, list[BrokenVideo]] | Exception:
        try:
            return self._read(key)
        except Exception as error:
            return to_parent(error)

    def _read(self, key: Key) -> tuple[Sample | None, list[BrokenVideo]]:
        epoch, position, attempt = key
        failures: list[BrokenVideo] = []
        for attempt in range(ATTEMPTS if self.replace else 1):
            try:
                return self.dataset[epoch, position, attempt], failures
            except DecodeError as error:
                failures.append((self.dataset.name(position), str(error)))
            draw = np.random.default_rng((REPLACEMENT, self.dataset.seed, epoch, key[1], attempt))
            position = int(draw.integers(len(self.dataset)))
        return None, failures


def collate_unbroken(
    guarded: list[tuple[Sample | None, list[BrokenVideo]] | Exception],
) -> tuple[Sample | None, list[BrokenVideo]] | Exception:
    """The samples as one batch, None if there are none, and all their failures; or the first error of a worker."""
    samples, failures = [], []
    for item in guarded:
        if isinstance(item, Exception):
            return item
        samples += [] if item[0] is None else [item[0]]
        failures += item[1]
    return (default_collate(samples) if samples else None), failures


class BrokenVideos:
    """Counts the broken videos of a set: each is reported once, and too many of them stop the run.

    Args:
        known: How many are known to be broken beforehand.
        total: How many videos the set has.
        max_fraction: The share of broken ones that is still tolerated.
    """

    def __init__(self, known: int, total: int, max_fraction: float) -> None:
        self.known, self.total, self.max_fraction = known, total, max_fraction
        self.reasons: dict[str, str] = {}

    def add(self, name: str, reason: str) -> None:
        """Record a broken video.

        Raises:
            InvalidArgumentError: If these are too many now.
        """
        if name in self.reasons:
            return
        self.reasons[name] = reason
        logger.warning("%s cannot be read and is skipped: %s", name, reason)
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
