import itertools
import logging

import numpy as np
import pytest
import torch

from pvdm_lightning.data.clips.broken import BrokenVideos
from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.clip_loader import ClipLoader
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.index.video_info import DecodeError
from pvdm_lightning.errors import InvalidArgumentError


class Fragile:
    """Videos of which some fail on being read."""

    def __init__(self, num_videos, failing):
        self.lengths, self.labels = np.full(num_videos, 100), np.arange(num_videos)
        self.problems: dict[int, str] = {}
        self.failing = failing

    def name(self, index):
        return f"video {index}"

    def read(self, index, frames, resolution):
        if index in self.failing:
            raise DecodeError("does not decode")
        return torch.tensor(frames, dtype=torch.uint8)[None, :, None, None].expand(3, -1, *resolution).clone()


def make_loader(failing, *, training, num_workers=0, max_fraction=1.0, num_videos=20):
    dataset = ClipDataset(Fragile(num_videos, failing), Windows(4), (2, 2), random_start=training)
    sampler = EpochSampler(num_videos, 4, training=training)
    failures = BrokenVideos(0, num_videos, max_fraction)
    return ClipLoader(dataset, sampler, failures, replace=training, num_workers=num_workers)


CASES = list(itertools.product((0, 1, 3, 8, 23, 64), (1, 4), (1, 2, 3)))


@pytest.mark.parametrize(("num_samples", "batch_size", "world_size"), CASES)
def test_evaluation_gives_each_sample_to_one_process_once(num_samples, batch_size, world_size):
    samplers = [EpochSampler(num_samples, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    batches = [list(sampler) for sampler in samplers]
    assert sorted(key[1] for batch in itertools.chain(*batches) for key in batch) == list(range(num_samples))
    assert [len(of_rank) for of_rank in batches] == [len(sampler) for sampler in samplers]
    assert all(1 <= len(batch) <= batch_size for batch in itertools.chain(*batches))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("num_samples", "batch_size", "world_size"), CASES)
def test_training_gives_every_process_as_many_batches_and_loses_nothing(num_samples, batch_size, world_size, drop_last):
    samplers = [
        EpochSampler(
            num_samples, batch_size, rank=rank, world_size=world_size, seed=5, training=True, drop_last=drop_last
        )
        for rank in range(world_size)
    ]
    for epoch in range(2):
        for sampler in samplers:
            sampler.epoch = epoch
        batches = [list(sampler) for sampler in samplers]
        assert {len(of_rank) for of_rank in batches} == {len(samplers[0])}
        keys = [key for batch in itertools.chain(*batches) for key in batch]
        assert {key[0] for key in keys} <= {epoch}
        if num_samples >= world_size:
            lost = num_samples - len({key[1] for key in keys})
            assert len({key[1] for key in keys}) == len(keys), "nothing twice"
            small = num_samples < batch_size * world_size
            assert lost < (batch_size * world_size if drop_last and not small else world_size)
        elif num_samples:
            assert len(keys) == world_size and {key[1] for key in keys} == set(range(num_samples))


def test_the_rest_of_an_epoch_is_had_without_its_beginning():
    sampler = EpochSampler(50, 4, seed=1, training=True)
    sampler.epoch = 7
    whole = list(sampler)
    sampler.first_batch = 5
    assert list(sampler) == whole[5:] and len(sampler) == 13
    sampler.epoch, sampler.first_batch = 8, 0
    assert [key[1] for batch in sampler for key in batch] != [key[1] for batch in whole for key in batch]


def test_the_order_does_not_depend_on_the_number_of_processes():
    alone = EpochSampler(48, 8, training=True)
    shared = [EpochSampler(48, 4, rank=rank, world_size=2, training=True) for rank in range(2)]
    for batch, *parts in zip(alone, *shared):
        assert sorted(batch) == sorted(itertools.chain(*parts))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_training_another_random_clip_stands_in_for_a_broken_one(num_workers, caplog):
    loader = make_loader({3, 11}, training=True, num_workers=num_workers)
    with caplog.at_level(logging.WARNING):
        epochs = [list(loader) for _ in range(3)]
    clips = [
        (int(i), tuple(clip.flatten().tolist()))
        for batch in epochs[0]
        for i, clip in zip(batch["index"], batch["clip"])
    ]
    assert [len(batch["index"]) for batch in epochs[0]] == [4] * 5
    assert len(set(clips)) == 20 and {3, 11}.isdisjoint(index for index, _ in clips)
    assert all(clip for _, clip in clips)
    named = [record.getMessage() for record in caplog.records]
    assert sorted(named) == [f"video {n} cannot be read and is skipped: does not decode" for n in (11, 3)]


def test_replace_broken_are_the_same_whatever_the_workers():
    runs = [
        [
            batch["index"].tolist()
            for _ in range(2)
            for batch in make_loader({3, 11}, training=True, num_workers=workers)
        ]
        for workers in (0, 2)
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_in_validation_broken_ones_are_left_out(num_workers):
    loader = make_loader({0, 1, 2, 3, 9}, training=False, num_workers=num_workers)
    seen = [batch["index"].tolist() for batch in loader]
    assert seen == [[4, 5, 6, 7], [8, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert set(loader.failures.reasons) == {f"video {n}" for n in (0, 1, 2, 3, 9)}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_too_many_broken_ones_stop_the_run(num_workers):
    loader = make_loader({1, 5, 9}, training=True, num_workers=num_workers, max_fraction=0.1)
    with pytest.raises(
        InvalidArgumentError, match=r"^DataModule.max_bad_fraction 0\.1: 3 of 20 videos cannot be read.*check-data"
    ):
        for _ in range(2):
            list(loader)


def test_a_set_that_breaks_down_altogether_ends_with_the_same_error():
    with pytest.raises(InvalidArgumentError, match=r"DataModule\.max_bad_fraction"):
        list(make_loader(set(range(20)), training=True, max_fraction=0.5))


def test_each_pass_is_the_next_epoch_and_one_that_never_began_does_not_count():
    loader = make_loader(set(), training=True)
    iter(loader)
    assert (loader.epoch, loader.batches, loader.started) == (0, 0, False)
    first, second = ([batch["index"].tolist() for batch in loader] for _ in range(2))
    assert first != second and all(sorted(itertools.chain(*epoch)) == list(range(20)) for epoch in (first, second))
    assert (loader.epoch, loader.batches) == (1, 5)
    dataset = loader.dataset
    rest = ClipLoader(dataset, EpochSampler(20, 4, training=True), BrokenVideos(0, 20, 1.0), start=(1, 3))
    assert [batch["index"].tolist() for batch in rest] == second[3:]
    again = ClipLoader(dataset, EpochSampler(20, 4, training=True), BrokenVideos(0, 20, 1.0), repeat=True)
    assert [[batch["index"].tolist() for batch in again] for _ in range(2)] == [first, first]
