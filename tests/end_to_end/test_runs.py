"""Runs have names, and commands take a run in place of a checkpoint."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

FALSE_ALARMS = ("litlogger", "Tip", "eval mode", "resumable", "callbacks used", "FLOP", "Flops", "treespec", "runpy")


def folders(runs):
    return sorted(path.name for path in Path(runs).iterdir() if not path.is_symlink())


def test_names_say_what_a_run_trains(workdir, pvdm, trained):
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--run_name", "null", "--trainer.max_steps", 1)
    first = ["--model.autoencoder_checkpoint", "latest"]
    pvdm.run("fit", "--config", "tiny_ldm.yaml", "--run_name", "null", "--trainer.max_steps", 1, *first)
    assert folders("runs") == ["ae-synthetic-16x24", "ldm-synthetic-16x24"]
    (start,) = folders("runs/ae-synthetic-16x24")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", start)
    assert Path("runs/ae-synthetic-16x24/latest").resolve().parent.name == start
    written = {path.name for path in Path("runs/ae-synthetic-16x24", start).iterdir()}
    assert {"checkpoints", "config.yaml"} <= written and any(name.startswith("events") for name in written)


def test_stage_two_never_trains_on_the_first_stage_of_an_older_run(workdir, pvdm):
    for seed in (1, 2):
        pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 1, "--seed_everything", seed)
    older, newer = folders("runs/run")
    for given in ("latest", "runs/run", "runs/run/latest"):
        options = ["--model.autoencoder_checkpoint", given, "--run_name", "two", "--trainer.max_steps", 1]
        pvdm.run("fit", "--config", "tiny_ldm.yaml", *options)
        config = yaml.safe_load(Path("runs/two/latest/../config.yaml").read_text())
        used = config["model"]["init_args"]["autoencoder_checkpoint"]
        assert used == f"runs/run/{newer}/checkpoints/last.ckpt"


def test_a_run_without_a_checkpoint_is_said(workdir, error_of):
    Path("runs/run/2026-01-01_00-00-00/checkpoints").mkdir(parents=True)
    option = ("--model.autoencoder_checkpoint", "runs/run/2026-01-01_00-00-00")
    assert f"{' '.join(option)}: holds no checkpoint yet" in error_of("fit", "--config", "tiny_ldm.yaml", *option)
    said = error_of("fit", "--config", "tiny_ldm.yaml", option[0], "latest")
    assert "latest: there is no finished first stage in runs" in said
    assert "--ckpt_path latest: there is no finished run in elsewhere" in error_of(
        "predict", "--ckpt_path", "latest", "--trainer.default_root_dir", "elsewhere"
    )


def test_a_run_that_never_started_leaves_no_folder(workdir, error_of):
    error_of("fit", "--config", "tiny_ae.yaml", "--model.learning_rate", -1)
    assert not list(Path("runs").glob("*"))


def test_the_saved_configuration_starts_another_run(workdir, pvdm):
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 1)
    pvdm.run("fit", "--config", "runs/run/latest/../config.yaml")
    assert len(folders("runs/run")) == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_fit_says_what_to_type_next_and_no_false_alarm(workdir, pvdm, capsys, monkeypatch, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    options = ("--trainer.max_steps", 2, "--trainer.enable_progress_bar", "true", "--trainer.num_sanity_val_steps", 1)
    pvdm.run("fit", "--config", "tiny_ae.yaml", *options)
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--resume", *options[2:], "--trainer.max_steps", 4)
    out, err = capsys.readouterr()
    assert "trained" in out and "to step 4" in out
    assert not [sign for sign in FALSE_ALARMS if sign in err + out]
    assert "4/4" in err and "clips/s" in err and "GiB" in err and "loss" in err
    assert ("\r" in err) is terminal
    assert len([line for line in err.splitlines() if "Validat" in line]) == 0
    commands = dict(re.findall(r"^(\w[\w ]*\w)  +(pvdm .*)$", out, re.MULTILINE))
    pvdm.run(*shlex.split(commands["reconstructions"])[1:], "--sampling.num_videos", 1)
    assert list(Path("reconstructions").glob("video_*"))
