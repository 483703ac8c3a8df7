"""Which samples come in which batch: each process its own share, every epoch exactly once."""

from collections.abc import Iterator

import numpy as np

from pvdm_lightning.data.clips.clip_dataset import Key

ORDER = 0  # keeps the order of an epoch apart from the random numbers of samples


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
