"""Real training runs: what an interrupted and resumed run sees is what an uninterrupted one sees."""

import logging
import warnings
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

import warm
from pvdm_lightning import Synthetic

Seen = list[tuple[list[int], int]]


CLIPS: dict[str, Any] = {"frames": 4, "resolution": 8, "clips_per_sample": 2}


class Watcher(LightningModule):
    """A model that learns nothing and remembers every batch."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.fail_at, self.seen = fail_at, Seen()

    def training_step(self, batch, batch_idx):
        if self.fail_at == self.global_step:
            raise RuntimeError("interrupted")
        self.seen.append(
            (batch["index"].tolist(), int(batch["clip"].long().sum() + 7 * batch["previous"].long().sum()))
        )
        return self.weight.sum() * 0

    def validation_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        yield


def train(
    num_workers=0,
    ckpt_path=None,
    callbacks=(),
    steps=14,
    model=None,
    data=None,
    **trainer_args,
):
    model = model or Watcher()
    settings = {"num_videos": 22, "num_val_videos": 3, "video_frames": 16, "batch_size": 4, "horizontal_flip": True}
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer_args,
    )
    trainer.fit(model, Synthetic(num_workers=num_workers, **CLIPS, **{**settings, **(data or {})}), ckpt_path=ckpt_path)
    return model.seen


def step_of(checkpoint):
    return int(torch.load(checkpoint, weights_only=True)["global_step"])


@pytest.mark.parametrize("when", ["every step", "epoch end", "validation end", "middle of validation interval"])
def test_a_resumed_run_goes_on_with_the_very_next_sample(tmp_path, when):
    how: dict[str, Any] = {"val_check_interval": 3} if "interval" in when else {}
    every: dict[str, Any] = {"every_n_train_steps": 1} if when == "every step" else {"every_n_epochs": 1}
    if when == "epoch end":
        every["save_on_train_epoch_end"] = True
    if "validation" in when:
        every["save_on_train_epoch_end"] = False
    callback = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", **every)
    whole = train(callbacks=(callback,), **how)
    assert len(whole) == 14
    checkpoints = sorted(tmp_path.glob("*.ckpt"), key=step_of)
    assert len(checkpoints) >= 2
    for checkpoint in checkpoints:
        assert train(ckpt_path=checkpoint, **how) == whole[step_of(checkpoint) :], checkpoint.name


def test_with_workers_too_whatever_they_prefetched(tmp_path):
    callback = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", every_n_train_steps=4)
    whole = train(num_workers=2, callbacks=(callback,))
    assert whole == train(num_workers=0)
    checkpoint = min(tmp_path.glob("*.ckpt"), key=step_of)
    assert train(num_workers=2, ckpt_path=checkpoint) == whole[4:]


def test_a_run_may_be_resumed_more_than_once(tmp_path):
    whole = train(steps=18)
    for first, last in ((0, 5), (5, 12), (12, 18)):
        callback = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", every_n_train_steps=1)
        before = tmp_path / f"step={first}.ckpt" if first else None
        assert train(ckpt_path=before, callbacks=(callback,), steps=last) == whole[first:last]


def test_a_run_that_broke_off_in_a_step_repeats_that_step(tmp_path):
    whole = train()
    callback = ModelCheckpoint(tmp_path, filename="broken", save_on_exception=True, every_n_train_steps=100)
    with pytest.raises(RuntimeError, match="interrupted"):
        train(callbacks=(callback,), model=Watcher(fail_at=8))
    (checkpoint,) = tmp_path.glob("*.ckpt")
    assert train(ckpt_path=checkpoint) == whole[8:]


@pytest.mark.parametrize("how", [{"limit_train_batches": 3}, {"reload_dataloaders_every_n_epochs": 1}])
def test_short_epochs_and_reloaded_loaders_count_as_well(tmp_path, how):
    callback = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", every_n_train_steps=1)
    whole = train(callbacks=(callback,), **how)
    assert len({str(batch) for batch in whole}) == 14, "every epoch is another one"
    for step in (2, 3, 7):
        assert train(ckpt_path=tmp_path / f"step={step}.ckpt", **how) == whole[step:]


def test_overfitting_sees_the_same_clips_again_and_again():
    seen = train(overfit_batches=2, steps=6)
    assert seen[:2] == seen[2:4] == seen[4:]


def test_other_data_than_in_the_checkpoint_is_said(tmp_path, caplog):
    callback = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{step}", every_n_train_steps=2)
    train(steps=2, callbacks=(callback,))
    with caplog.at_level(logging.WARNING, logger="pvdm_lightning"):
        train(steps=4, ckpt_path=tmp_path / "step=2.ckpt", data={"batch_size": 2})
    assert "the data changed since the checkpoint" in caplog.text


TWO_PROCESSES = """
import sys, warnings, logging
warnings.simplefilter("ignore")
import torch
from lightning import LightningModule, Trainer
from pvdm_lightning import Synthetic

class Watcher(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.lines = []
    def training_step(self, batch, batch_idx):
        self.note("train", batch)
        return self.weight.sum() * 0
    def validation_step(self, batch, batch_idx):
        self.note("val", batch)
    def note(self, split, batch):
        for index, clip in zip(batch["index"].tolist(), batch["clip"]):
            self.lines.append(f"{split} {self.current_epoch} {self.global_rank} {index} {int(clip.long().sum())}")
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

model = Watcher()
data = Synthetic(num_videos=11, num_val_videos=5, video_frames=8, batch_size=2, num_workers=0,
                 frames=4, resolution=8, clips_per_sample=1)
Trainer(accelerator="cpu", devices=int(sys.argv[1]), strategy="ddp" if sys.argv[1] == "2" else "auto", max_epochs=2,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0).fit(model, data)
with open(f"{sys.argv[2]}/rank{model.global_rank}.txt", "w") as file:
    file.write("\\n".join(model.lines))
"""


def test_two_processes_see_every_sample_once_and_draw_as_one_does(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)

    def run(devices):
        folder = tmp_path / str(devices)
        folder.mkdir()
        warm.run(script, [devices, folder], folder, ranks=devices)
        lines = [tuple(line.split()) for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
        return lambda split, epoch: sorted(
            (index, pixels) for name, number, _, index, pixels in lines if (name, int(number)) == (split, epoch)
        )

    one, two = run(1), run(2)
    for epoch in range(2):
        assert two("val", epoch) == one("val", epoch) and len(one("val", epoch)) == 5
        assert two("train", epoch) == one("train", epoch) and len(one("train", epoch)) == 11
    assert one("train", 0) != one("train", 1)
