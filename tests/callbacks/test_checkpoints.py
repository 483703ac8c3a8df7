from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pvdm_lightning.callbacks import Checkpoints


class Worsening(LightningModule):
    """A model whose figure is best at the first validation; may fail at a step."""

    def __init__(self, error=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.error = error

    def training_step(self, batch, batch_idx):
        if self.error is not None and self.global_step == 3:
            raise self.error
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", float(self.global_step))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Watched(Checkpoints):
    """Notes the step of last.ckpt after each validation and each epoch."""

    def note(self):
        last = Path(self.dirpath, "last.ckpt")
        self.seen = [*getattr(self, "seen", []), step_of(last) if last.is_file() else None]

    def on_train_batch_start(self, *args):
        self.note()


def step_of(path):
    return torch.load(path, weights_only=True)["global_step"]


def fit(folder, model=None, callback=Checkpoints, batches=2, every_n_train_steps=None, **how):
    """Six steps, and a validation after each two."""
    checkpoints = callback(monitor="val/loss", dirpath=str(folder), every_n_train_steps=every_n_train_steps)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=6,
        logger=False,
        callbacks=[checkpoints],
        enable_progress_bar=False,
        enable_model_summary=False,
        **how,
    )
    loader = torch.utils.data.DataLoader(torch.zeros(batches, 1))
    trainer.fit(model or Worsening(), loader, torch.utils.data.DataLoader(torch.zeros(1, 1)))
    return checkpoints


WITHIN_EPOCHS = {"batches": 9, "val_check_interval": 2, "check_val_every_n_epoch": None}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", [WITHIN_EPOCHS, {}], ids=["within epochs", "at their ends"])
def test_last_is_written_after_validations_that_bring_nothing_better(tmp_path, how):
    seen = fit(tmp_path, callback=Watched, **how).seen
    assert seen == [None, None, 2, 2, 4, 4]
    assert step_of(tmp_path / "last.ckpt") == 6 and step_of(tmp_path / "step-2.ckpt") == 2


@pytest.mark.filterwarnings("ignore")
def test_steps_of_its_own_come_before_the_first_validation_too(tmp_path):
    how = {"batches": 9, "val_check_interval": 4, "check_val_every_n_epoch": None}
    assert fit(tmp_path, callback=Watched, every_n_train_steps=3, **how).seen == [None, None, None, 3, 4, 4]


@pytest.mark.filterwarnings("ignore")
def test_without_a_monitor_steps_of_its_own_keep_checkpoints(tmp_path):
    class All(Checkpoints):
        def __init__(self, **how):
            super().__init__(**{**how, "monitor": None, "save_top_k": -1})

    fit(tmp_path, callback=All, every_n_train_steps=2, batches=9)
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"step-2.ckpt", "step-4.ckpt", "step-6.ckpt", "last.ckpt"}


@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_not_numbers_are_not_saved(tmp_path, caplog):
    class Spoilt(Worsening):
        def on_train_batch_end(self, *args):
            if self.global_step == 3:
                self.weight.data.fill_(float("nan"))

    fit(tmp_path, Spoilt(), **WITHIN_EPOCHS)
    assert step_of(tmp_path / "last.ckpt") == 2
    assert "step 4 is not saved: its weights are NaN or infinite" in caplog.text


def test_a_state_names_no_files_of_other_folders(tmp_path):
    other = str(tmp_path / "precious.txt")
    callback = Checkpoints(dirpath=str(tmp_path / "run"), monitor="val/loss")
    state = {**callback.state_dict(), "best_k_models": {other: torch.tensor(1.0)}, "kth_best_model_path": other}
    callback.load_state_dict(state)
    assert callback.best_k_models == {}


@pytest.mark.filterwarnings("ignore")
def test_a_run_for_development_writes_nothing(tmp_path):
    fit(tmp_path, fast_dev_run=True)
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("processes", [1, 2])
def test_where_one_of_several_processes_fails_nobody_waits_for_the_others(tmp_path, monkeypatch, caplog, processes):
    monkeypatch.setattr(Trainer, "world_size", processes)
    with pytest.raises(RuntimeError, match="broken"):
        fit(tmp_path, Worsening(RuntimeError("broken")), **WITHIN_EPOCHS)
    assert step_of(tmp_path / "last.ckpt") == (3 if processes == 1 else 2)
    assert ("RuntimeError in one of several processes: last.ckpt stays as it was" in caplog.text) == (processes == 2)


@pytest.mark.filterwarnings("ignore")
def test_an_interruption_reaches_all_processes_and_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "world_size", 2)
    with pytest.raises(SystemExit):
        fit(tmp_path, Worsening(SIGTERMException()), **WITHIN_EPOCHS)
    assert step_of(tmp_path / "last.ckpt") == 3
