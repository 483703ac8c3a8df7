"""Reading a cache: its samples, its order, and what may be wrong with it."""

import itertools
import json
import logging
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from pvdm_lightning import CachedLatents
from pvdm_lightning.data.latents.latent_cache import (
    CacheOptions,
    context_path,
    shard_path,
    write_context,
    write_description,
    write_shard,
)
from pvdm_lightning.data.latents.latent_dataset import LatentDataset
from pvdm_lightning.errors import InvalidArgumentError

WINDOWS, SIZE = 2, 3  # of a video; of a shard, so that videos are cut in two
VIDEOS = {"train": 11, "val": 5}


def latent(index, window, flipped, previous):
    """[2 5], another one for each clip of the cache, and exact in float16."""
    return torch.full((2, 5), (index * 8 + window * 4 + flipped * 2 + previous) / 256)


def write_cache(root, dtype=torch.float32, masks=(), **more):
    """A cache as `pvdm encode` writes it, in which every third video is too short for a pair.

    Latents under the masks are those of the clip plus 1, 2 and so on.
    """
    splits = {}
    for split, videos in VIDEOS.items():
        windows = list(itertools.product(range(videos), range(WINDOWS if split == "train" else 1)))
        shards = [windows[i : i + SIZE] for i in range(0, len(windows), SIZE)]
        splits[split] = {"shards": len(shards), "broken_videos": 0}
        for number, shard in enumerate(shards):
            rows = [(i, w, f) for f in ((False, True) if split == "train" else (False,)) for i, w in shard]
            tensors = {
                "clip": torch.stack([latent(i, w, f, False) for i, w, f in rows]).to(dtype),
                "previous": torch.stack([latent(i, w, f, True) for i, w, f in rows if i % 3]).to(dtype),
                "has_previous": torch.tensor([i % 3 > 0 for i, _, _ in rows]),
                "label": torch.tensor([i % 4 for i, _, _ in rows]),
                "index": torch.tensor([i for i, _, _ in rows]),
                "start": torch.tensor([w for _, w, _ in rows]),
                "flipped": torch.tensor([f for _, _, f in rows]),
            }
            if masks:
                tensors["known"] = torch.stack([tensors["clip"] + mask + 1 for mask in range(len(masks))], dim=1)
            write_shard(shard_path(root, split, number), tensors, {"gone.avi": "is empty"} if number == 1 else {})
    about = {"format": 1, "autoencoder": {"fingerprint": "f"}, "clip_shape": [4, 8, 8], "splits": splits}
    known = {"known_frames": [f"mask {mask}" for mask in masks], "known_masks": list(masks)} if masks else {}
    write_description(root, {"data": {}, **about, **known, **more})
    return root


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache")


def opened(root, **how):
    module = CachedLatents(str(root), **{"batch_size": 4, **how})
    module.setup()
    return module


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_batches(tmp_path, num_workers, dtype):
    module = opened(write_cache(tmp_path, dtype), num_workers=num_workers)
    train, val = list(module.train_dataloader()), list(module.val_dataloader())
    module.teardown("fit")
    assert sorted(int(i) for batch in train for i in batch["index"]) == list(range(11))
    assert [int(i) for batch in val for i in batch["index"]] == list(range(5))
    for batch in train + val:
        assert set(batch) == {"clip", "previous", "has_previous", "label", "index"}
        assert batch["clip"].dtype == batch["previous"].dtype == torch.float32
        assert batch["clip"].shape == batch["previous"].shape == (len(batch["index"]), 2, 5)
        assert batch["has_previous"].tolist() == [i % 3 > 0 for i in batch["index"].tolist()]
        assert batch["label"].tolist() == [i % 4 for i in batch["index"].tolist()]
        for clip, previous, has, index in zip(*(batch[k] for k in ("clip", "previous", "has_previous", "index"))):
            number = round(float(clip[0, 0]) * 256)
            assert number // 8 == index and number % 2 == 0
            assert torch.equal(previous, clip + 1 / 256 if has else torch.zeros_like(clip))
    for batch in val:
        assert torch.equal(batch["clip"][:, 0, 0], batch["index"] * 8 / 256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_known_frames(tmp_path, dtype):
    module = opened(write_cache(tmp_path, dtype, masks=("1100", "1001")))
    assert module.known_frames == ["mask 1100", "mask 1001"]
    assert module.known_masks.tolist() == [[True, True, False, False], [True, False, False, True]]
    for batch in [*module.train_dataloader(), *module.val_dataloader()]:
        assert batch["known"].shape == (len(batch["index"]), 2, 2, 5) and batch["known"].dtype == torch.float32
        for mask in range(2):
            expected = (batch["clip"] + mask + 1).to(dtype).float()
            assert torch.allclose(batch["known"][:, mask], expected, atol=2e-3 * (dtype == torch.float16))


def test_a_cache_without_masks_has_none(cache):
    module = opened(cache)
    assert module.known_frames == [] and module.known_masks.shape == (0, 4)


def test_names_of_classes(tmp_path):
    assert opened(write_cache(tmp_path / "old")).class_names == []  # one of an earlier version has labels alone
    names = ["a", "b", "c", "d"]
    assert opened(write_cache(tmp_path / "new", class_names=names)).class_names == names
    with pytest.raises(InvalidArgumentError, match=r"damaged \(it has labels of more than 3 classes\)\. Delete it and"):
        opened(write_cache(tmp_path / "few", class_names=names[:3]))


@pytest.mark.parametrize(
    "more",
    [
        {"class_names": "ab"},
        {"class_names": [1]},
        {"known_masks": ["1100"]},
        {"known_frames": ["a"], "known_masks": ["110"]},
        {"known_frames": ["a"], "known_masks": ["1102"]},
    ],
)
def test_descriptions_that_no_encoder_writes(tmp_path, more):
    with pytest.raises(InvalidArgumentError, match=r"its cache\.json is not one of `pvdm encode`"):
        opened(write_cache(tmp_path, **more))


def test_shards_without_the_masks_of_their_cache(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"train-00000\.safetensors is damaged \('known'\)"):
        opened(write_cache(tmp_path, known_frames=["a"], known_masks=["1100"]))
    write_cache(tmp_path, masks=["1100"], known_frames=["a", "b"], known_masks=["1100", "0011"])
    with pytest.raises(InvalidArgumentError, match=r"damaged \(its columns are not those of a shard\)"):
        opened(tmp_path)


def test_any_stored_window_is_drawn(cache):
    loader = opened(cache).train_dataloader()
    seen: dict[int, list[int]] = {}
    for _ in range(60):
        for batch in loader:
            for clip, index in zip(batch["clip"], batch["index"].tolist()):
                seen.setdefault(index, []).append(round(float(clip[0, 0]) * 256) % 8)
    for draws in seen.values():
        assert len(draws) == 60 and {draws.count(variant) > 4 for variant in (0, 2, 4, 6)} == {True}


def test_processes_share_an_epoch(cache):
    seen = []
    for rank in range(2):
        module = CachedLatents(str(cache), batch_size=2)
        module.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=2, num_devices=2, train_dataloader=None
        )
        module.setup()
        for loader in (module.train_dataloader(), module.val_dataloader()):
            seen.append([(int(i), float(clip[0, 0])) for b in loader for i, clip in zip(b["index"], b["clip"])])
    one = opened(cache)
    for first, loader in ((0, one.train_dataloader()), (1, one.val_dataloader())):
        alone = [(int(i), float(clip[0, 0])) for b in loader for i, clip in zip(b["index"], b["clip"])]
        assert sorted(seen[first] + seen[first + 2]) == sorted(alone)


def test_each_process_needs_something_to_validate_on(cache):
    module = CachedLatents(str(cache), val_clips=1)
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=0, world_size=2, num_devices=2, limit_val_batches=1.0, train_dataloader=None
    )
    with pytest.raises(
        InvalidArgumentError, match=r"^Trainer\.devices 2: validation has 1 clips, and each of the 2 processes"
    ):
        module.setup("fit")


def test_val_clips_are_spread_as_those_of_videos(cache):
    (batch,) = opened(cache, val_clips=3).val_dataloader()
    assert batch["index"].tolist() == [0, 2, 4]


def test_a_set_that_other_processes_get_opens_its_own_files(cache):
    dataset = LatentDataset(cache, "train", json.loads((cache / "cache.json").read_text()), random_window=True)
    first = dataset[0, 3, 0]
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[0, 3, 0]["clip"], first["clip"])


def test_only_so_many_files_stay_open(cache, monkeypatch):
    monkeypatch.setattr("pvdm_lightning.data.latents.latent_dataset._OPEN", 2)
    dataset = LatentDataset(cache, "train", json.loads((cache / "cache.json").read_text()))
    for position in [*range(11), 0, 5]:
        assert torch.equal(dataset[position]["clip"], latent(position, 0, False, False))
        assert len(dataset._shards) <= 2


class Watcher(LightningModule):
    """A model that learns nothing and remembers every batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[float]] = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["clip"][:, 0, 0].tolist())
        return self.weight.sum() * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_goes_on_with_the_very_next_sample(cache, tmp_path):
    def train(ckpt_path, *callbacks):
        model = Watcher()
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(
            accelerator="cpu", max_steps=8, callbacks=list(callbacks), enable_checkpointing=bool(callbacks), **quiet
        )
        trainer.fit(model, CachedLatents(str(cache), batch_size=4), ckpt_path=ckpt_path)
        return model.seen

    whole = train(None, ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", every_n_train_steps=1))
    assert len(whole) == 8 and len({str(batch) for batch in whole}) == 8
    for step in (1, 3, 5):
        assert train(tmp_path / f"step={step}.ckpt") == whole[step:]


def test_one_line_sums_a_split_up(cache, caplog):
    with caplog.at_level(logging.INFO):
        module = opened(cache)
    assert "train: latents of 11 videos, 44 windows, 1 videos broken" in caplog.text
    assert module.clip_shape == (4, 8, 8) and module.autoencoder_fingerprint == "f"


def remove_two(root):
    shard_path(root, "train", 2).unlink()
    shard_path(root, "val", 0).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: root.rename(root.parent / "away"), "there is no such folder. Give the folder of a cache that"),
        (lambda root: (root / "cache.json").unlink(), "is no cache of latents: it has no readable cache.json. Give"),
        (lambda root: (root / "cache.json").write_text("{"), "is no cache of latents: it has no readable cache.json"),
        (lambda root: write_description(root, {"format": 2}), "has format 2, and this version reads 1. Write it anew."),
        (remove_two, "is unfinished: 2 of 10 shards are missing. Run the same `pvdm encode` with CacheOptions.dir"),
        (lambda root: shard_path(root, "val", 1).write_bytes(b"x" * 90), "val-00001.safetensors is damaged ("),
        (
            lambda root: shard_path(root, "val", 1).write_bytes(shard_path(root, "val", 1).read_bytes()[:-9]),
            "val-00001.safetensors is damaged (",
        ),
    ],
)
def test_mistakes(cache, spoil, message):
    spoil(cache)
    with pytest.raises(InvalidArgumentError) as caught:
        opened(cache)
    assert str(caught.value).startswith(f"DataModule.root {cache}: {message}") and "\n" not in str(caught.value)


def test_mistakes_in_options():
    with pytest.raises(InvalidArgumentError, match=r"^DataModule\.batch_size 0: is less than 1\. Give 1 or more\.$"):
        CachedLatents(batch_size=0)
    with pytest.raises(
        InvalidArgumentError, match=r"^CacheOptions\.windows_per_video 0: is less than 1\. Give 1 or more\.$"
    ):
        CacheOptions(windows_per_video=0)


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InvalidArgumentError) as caught:
        write_shard(tmp_path / "train-00000.safetensors", {"clip": torch.zeros(1)}, {})
    assert str(caught.value) == (
        f"CacheOptions.dir {tmp_path}: train-00000.safetensors cannot be written (No space left on device). "
        "Mend that and run the same command again: it goes on after the last whole file."
    )
    assert not list(tmp_path.iterdir())


def write_vectors(root, dtype="float32", skip=()):
    """Vectors [2 3] of each video, filled with its number."""
    for split, videos in VIDEOS.items():
        index = np.array([number for number in range(videos) if number not in skip])
        write_context(root, split, dtype, index, (torch.full((2, 3), float(number)) for number in index))
    return root


def describe(root, **more):
    write_description(root, json.loads((root / "cache.json").read_text()) | more)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_of_the_videos(tmp_path, dtype):
    root = write_vectors(write_cache(tmp_path, context=[2, 3]), dtype)
    module = opened(root)
    assert module.conditions == ("context",) and module.context_channels == 3
    for batch in [*module.train_dataloader(), *module.val_dataloader()]:
        assert batch["context"].dtype == torch.float32
        assert torch.equal(batch["context"], batch["index"].float()[:, None, None].expand(-1, 2, 3))
    assert load_file(context_path(root, "val"))["context"].dtype == getattr(torch, dtype)  # others read it as well
    few = opened(root, val_clips=2)
    (batch,) = few.val_dataloader()
    assert batch["index"].tolist() == [0, 4] and batch["context"][:, 0, 0].tolist() == [0, 4]


def test_a_cache_without_vectors(cache):
    module = opened(cache)
    assert module.conditions == () and module.context_channels == 0


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda root: context_path(root, "val").unlink(), "No such file"),
        (lambda root: write_vectors(root, skip=(3,)), "it lacks vectors of some videos"),
        (lambda root: describe(root, context=[2, 4]), "its vectors are not those of the cache"),
        (lambda root: describe(root, context=[0]), "its cache.json is not one of"),
    ],
)
def test_vectors_that_do_not_fit_the_cache(tmp_path, spoil, problem):
    root = write_vectors(write_cache(tmp_path, context=[2, 3]))
    spoil(root)
    with pytest.raises(InvalidArgumentError) as caught:
        opened(root)
    assert problem in str(caught.value) and "\n" not in str(caught.value)
