"""Runs have names, and commands take a run in place of a checkpoint."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from pvdm_lightning.callbacks import VideoLogger

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


@pytest.mark.parametrize(
    "mistake",
    [
        ["--model.learning_rate", -1],
        ["--trainer.precision", "bf16-true"],
        ["--trainer.precision", "bf16-true", "--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "runs"],
        ["--data", "VideoFolder", "--data.root", "nowhere"],
        ["--trainer.callbacks+=Interrupted"],
    ],
    ids=lambda mistake: mistake[-1],
)
def test_a_run_that_never_started_leaves_no_folder_and_no_link(workdir, pvdm, monkeypatch, mistake):
    def interrupt(*_):
        raise KeyboardInterrupt

    if "Interrupted" in mistake[0]:
        monkeypatch.setattr(VideoLogger, "on_train_start", interrupt)
        mistake = []
    with pytest.raises(SystemExit):
        pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 2, *mistake)
    assert not Path("runs").exists()


def test_a_resumption_that_fails_changes_nothing(workdir, pvdm, error_of):
    fit = ("fit", "--config", "tiny_ae.yaml", "--resume")
    pvdm.run(*fit, "--trainer.max_steps", 2)
    (start,) = folders("runs/run")
    names = ("config.yaml", "checkpoints/last.ckpt")
    before = [Path("runs/run", start, name).read_bytes() for name in names]
    error_of(*fit, "--trainer.max_steps", 4, "--trainer.precision", "bf16-true")
    error_of(*fit, "--trainer.max_steps", 4, "--data", "VideoFolder", "--data.root", "nowhere")
    assert [Path("runs/run", start, name).read_bytes() for name in names] == before and folders("runs/run") == [start]


def test_a_run_with_a_folder_of_checkpoints_goes_on_and_leaves_the_users_files(workdir, pvdm, caplog):
    """Its folder is not taken for that of a run, whose config.yaml is ours."""
    Path("tiny_ae.yaml").rename("config.yaml")
    before = Path("config.yaml").read_bytes()
    fit = ("fit", "--config", "config.yaml", "--checkpoint.dirpath", "checkpoints", "--resume")
    pvdm.run(*fit, "--trainer.max_steps", 1)
    pvdm.run(*fit, "--trainer.max_steps", 2)
    assert "checkpoints/last.ckpt, step 1" in caplog.text
    assert Path("config.yaml").read_bytes() == before and not list(Path().glob("events*"))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--run_name", "../elsewhere", "leads out of runs, the folder of all runs. Give a name such as"),
        ("--checkpoint.filename", "../../{step}", "is not the name of a file. Give one such as step-{step}."),
    ],
)
def test_names_do_not_lead_out_of_the_folder(workdir, error_of, option, value, said):
    line = error_of("fit", "--config", "tiny_ae.yaml", option, value)
    assert line.startswith(f"pvdm: error: {option} {value}: {said}")
    assert not Path("runs").exists()


def test_stages_with_one_name_do_not_meet(workdir, pvdm, trained, caplog):
    """--resume goes on with its own stage, and a first stage is looked for among first stages."""
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 2)
    ldm = ("fit", "--config", "tiny_ldm.yaml", "--model.autoencoder_checkpoint", "runs/run", "--trainer.max_steps")
    pvdm.run(*ldm, 1, "--resume")
    caplog.clear()
    pvdm.run("fit", "--config", "tiny_ae.yaml", "--trainer.max_steps", 3, "--resume")
    assert "last.ckpt, step 2" in caplog.text
    pvdm.run(*ldm, 2, "--resume")
    assert "last.ckpt, step 1" in caplog.text and len(folders("runs/run")) == 2


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
    (start,) = folders("runs/run")
    assert f"<h1>1 videos of run/{start}/last.ckpt</h1>" in Path("reconstructions/index.html").read_text()
