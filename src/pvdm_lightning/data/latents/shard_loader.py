"""Windows -> batches, shard by shard."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pvdm_lightning.data.clips.broken import BrokenVideos, SkipBroken, collate_unbroken
from pvdm_lightning.data.clips.clip_dataset import Key
from pvdm_lightning.data.clips.workers import batches_of, worker_loader
from pvdm_lightning.data.latents.stored_windows import StoredWindows


class ShardLoader:
    """The batches of some shards, each shard from its first window to its last.

    A shard is cut into the same batches whatever the other shards and whoever reads it, so its latents are the same to
    the bit. A batch is a dict: "split", "shard" (its number), "is_last" (of the shard), "failures" (videos that could
    not be read, and why), and those windows of a `StoredWindows` that could be read, if there are any.

    Args:
        windows: By split.
        shards: Split and number of each.
        shard_size: Windows in a shard.
        batch_size: Windows in a batch.
        failures: Takes note of broken videos, by split.
        loader_args: For the `DataLoader`: num_workers, pin_memory and so on.
    """

    def __init__(
        self,
        windows: Mapping[str, StoredWindows],
        shards: Sequence[tuple[str, int]],
        shard_size: int,
        batch_size: int,
        failures: Mapping[str, BrokenVideos],
        **loader_args: Any,
    ) -> None:
        self.windows, self.shards, self.failures = windows, shards, failures
        self.shard_size, self.batch_size, self._loader_args = shard_size, batch_size, loader_args

    def _batches(self, split: str, shard: int) -> list[list[Key]]:
        stop = min((shard + 1) * self.shard_size, len(self.windows[split]))
        firsts = range(shard * self.shard_size, stop, self.batch_size)
        return [[(0, position, 0) for position in range(i, min(i + self.batch_size, stop))] for i in firsts]

    def __len__(self) -> int:
        return sum(len(self._batches(split, shard)) for split, shard in self.shards)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for split, windows in self.windows.items():
            mine = [shard for of, shard in self.shards if of == split]
            batches = [batch for shard in mine for batch in self._batches(split, shard)]
            loader = batches_of(
                worker_loader(
                    SkipBroken(windows, replace=False),
                    batch_sampler=batches,
                    collate_fn=collate_unbroken,
                    **self._loader_args,
                )
            )
            for shard in mine:
                count = len(self._batches(split, shard))
                for number in range(count):
                    samples, failures = next(loader)
                    for failure in failures:
                        self.failures[split].add(*failure)
                    where = {"split": split, "shard": shard, "is_last": number == count - 1}
                    yield {**(samples or {}), **where, "failures": dict(failures)}
