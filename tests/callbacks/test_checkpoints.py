from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pvdm_lightning.callbacks import Checkpoints
from pvdm_lightning.errors import InvalidArgumentError


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


def test_a_state_names_no_files_but_kept_checkpoints_of_the_folder(tmp_path):
    for name in ("precious.txt", "run/step-1.ckpt", "run/.hidden.ckpt", "run/last.ckpt", "run/below/step-1.ckpt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "run/linked.ckpt").symlink_to(tmp_path / "precious.txt")
    callback = Checkpoints(dirpath=str(tmp_path / "run"), monitor="val/loss")
    names = ["../precious.txt", str(tmp_path / "precious.txt"), "below/step-1.ckpt", "linked.ckpt", "last.ckpt"]
    names += [".hidden.ckpt", "gone.ckpt", "step-1.ckpt"]
    callback.load_state_dict({**callback.state_dict(), "scores": dict.fromkeys(names, 1.0) | {3: 1.0, "a.ckpt": "x"}})
    assert callback.scores == {"step-1.ckpt": 1.0}
    callback.load_state_dict({**callback.state_dict(), "scores": "all"})
    other = Checkpoints(dirpath=str(tmp_path / "run"), monitor="val/loss", mode="max")
    other.load_state_dict(callback.state_dict())
    assert other.scores == {}  # scores of another ranking


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


class Scripted(Worsening):
    """Its metric at each step is given."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", torch.tensor(self.values[self.global_step]))


def train(folder, values, steps, interval, ckpt_path=None, **how):
    checkpoints = Checkpoints(dirpath=str(folder), **how)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        callbacks=[checkpoints],
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
    )
    loader = torch.utils.data.DataLoader(torch.zeros(50, 1))
    trainer.fit(Scripted(values), loader, torch.utils.data.DataLoader(torch.zeros(1, 1)), ckpt_path=ckpt_path)
    return checkpoints


def kept_steps(folder):
    return sorted(step_of(path) for path in Path(folder).glob("*.ckpt") if path.name != "last.ckpt")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0, float("nan")]), min_size=9, max_size=9),
    interval=st.integers(1, 4),
    every=st.none() | st.integers(1, 3),
    top_k=st.sampled_from([-1, 0, 1, 1, 2, 3]),
    monitor=st.sampled_from(["val/loss", "val/loss", None]),
    mode=st.sampled_from(["min", "max"]),
    filename=st.sampled_from(["step-{step}", "best", "loss-{val/loss:.1f}", "{step:03d}-{val/loss}"]),
    stop=st.integers(1, 5),
    moved=st.booleans(),
)
def test_the_best_are_on_the_disk_after_the_run_a_resumption_and_a_move(
    tmp_path_factory, values, interval, every, top_k, monitor, mode, filename, stop, moved
):
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    how = {"every_n_train_steps": every, "save_top_k": top_k, "monitor": monitor, "mode": mode, "filename": filename}

    def check(callback, steps):
        validated = [step for step in range(1, steps + 1) if step % interval == 0]
        if monitor is None:
            saved = [step for step in range(1, steps + 1) if step in validated or (every and step % every == 0)]
            ranked = saved[::-1]
        else:
            worst = float("inf") if mode == "min" else float("-inf")
            score = {step: worst if values[step] != values[step] else values[step] for step in validated}
            ranked = sorted(validated, key=lambda step: score[step] if mode == "min" else -score[step])
        kept = ranked if top_k == -1 else ranked[:top_k]
        assert kept_steps(folder) == sorted(kept)
        assert step_of(folder / "last.ckpt") == steps
        assert not list(folder.glob(".*"))
        assert (step_of(callback.best_model_path) if kept else callback.best_model_path) == (kept[0] if kept else "")

    check(train(folder, values, stop, interval, **how), stop)
    if moved:
        folder = folder.parent.rename(folder.parent.with_name(f"{folder.parent.name}-moved")) / "checkpoints"
    check(train(folder, values, 8, interval, ckpt_path=str(folder / "last.ckpt"), **how), 8)


@pytest.mark.filterwarnings("ignore")
def test_what_a_run_has_not_written_is_not_deleted(tmp_path):
    (tmp_path / "step-2.ckpt.bak").touch()
    train(tmp_path, [9 - step for step in range(9)], 2, 2, monitor="val/loss")
    mine = (tmp_path / "step-2.ckpt").rename(tmp_path / "mine.ckpt")
    train(tmp_path, [9 - step for step in range(9)], 8, 2, ckpt_path=str(tmp_path / "last.ckpt"), monitor="val/loss")
    assert mine.exists() and kept_steps(tmp_path) == [2, 8]


@pytest.mark.filterwarnings("ignore")
def test_a_failure_while_a_run_is_restored_keeps_its_last(tmp_path):
    class Broken(Scripted):
        def on_fit_start(self):
            raise RuntimeError("broken")

    train(tmp_path, [0] * 9, 4, 2)
    before = (tmp_path / "last.ckpt").read_bytes()
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[Checkpoints(dirpath=str(tmp_path))], max_steps=8)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.fit(Broken([0]), torch.utils.data.DataLoader(torch.zeros(9, 1)), ckpt_path=str(tmp_path / "last.ckpt"))
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_a_folder_in_the_place_of_last_is_found_before_training(tmp_path):
    (tmp_path / "last.ckpt").mkdir()
    (tmp_path / "last.ckpt/thesis.tex").touch()
    with pytest.raises(InvalidArgumentError, match=r"Checkpoints.dirpath .*holds a folder called last.ckpt"):
        train(tmp_path, [0] * 9, 4, 2)
    assert (tmp_path / "last.ckpt/thesis.tex").exists()


@pytest.mark.parametrize(
    ("filename", "problem"),
    [
        *((name, "is not the name of a file") for name in ("../x", "a/b", "/tmp/x", "..", ".x", "", "a\nb", "x" * 300)),
        *((name, "is not the name of a file") for name in ("{step}/../../x", "../{val/loss}", "a/{step}")),
        *((name, "is the name of last.ckpt") for name in ("last", "LAST")),
        *((name, "has a brace without its counterpart") for name in ("{step", "step}", "{a{step}}", "{step:{x}}")),
        *((name, "has a field that cannot be formatted") for name in ("{step:x.y}", "{val/loss:d}", "{epoch:qq}")),
    ],
)
def test_names_of_checkpoints_are_names_of_files(filename, problem):
    with pytest.raises(InvalidArgumentError, match=problem):
        Checkpoints(filename=filename)


@pytest.mark.parametrize("filename", ["step-{step}", "{epoch}-{val/loss:.2f}", "{step:05d}", "a b", "a..b", "lasting"])
def test_names_that_may_be_given(filename):
    Checkpoints(filename=filename)
