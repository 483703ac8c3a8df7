"""Help, completion, lists with commas, the schema of configurations and the dry run."""

import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml

from pvdm_lightning import AutoencoderModule, VideoPipeline, cli
from pvdm_lightning.cli import dry_run
from pvdm_lightning.cli.arguments import with_comma_lists
from pvdm_lightning.cli.commands.import_original import _save as save_checkpoint
from pvdm_lightning.cli.console.completion import config_schema
from pvdm_lightning.cli.console.output import duration
from pvdm_lightning.cli.shipped_configs import config_folder, shipped_configs


def printed(capsys, *args):
    try:
        cli.main(list(args))
    except SystemExit as ended:
        assert ended.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "command, first, last",
    [
        ("fit", ["Model", "Data"], "Trainer"),
        ("predict", ["Sampling", "Output", "Model", "Data"], "Trainer"),
        ("test", ["Sampling", "Evaluation"], "Trainer"),
    ],
)
def test_help_shows_ours_first(capsys, command, first, last):
    text = printed(capsys, command, "--help")
    titles = [line for line in text.splitlines() if re.match(r"[A-Z].*:$", line)]
    assert [title.split(":")[0].split(" ")[0] for title in titles[: len(first)]] == first
    assert titles[-1].startswith(last)
    assert len(text.split("\n\n")[0].splitlines()) == 1  # the usage is a line
    assert "--model.help lists the classes" in text
    assert "class 'lightning" not in text
    assert not {"RestoredModule", "LatentEncoder", "registry", '"best"', "hpc"} & set(re.findall(r'[\w"]+', text))


@pytest.mark.parametrize("option, name", [("--model.help", "AutoencoderModule"), ("--data.help", "UCF101")])
def test_classes_are_listed_and_explained(capsys, option, name):
    assert name in printed(capsys, "fit", option)
    assert "init_args" in printed(capsys, "fit", option, name) or name in printed(capsys, "fit", option, name)


@pytest.mark.parametrize(
    "given, parsed",
    [
        (["evaluate", "--evaluation.frames", "16,128"], ["evaluate", "--evaluation.frames", "[16,128]"]),
        (["evaluate", "--evaluation.frames=16"], ["evaluate", "--evaluation.frames=[16]"]),
        (["import-original", "--frames", "16"], ["import-original", "--frames", "16"]),
        (["fit", "--output.formats", "mp4"], ["fit", "--output.formats", "[mp4]"]),
        (["fit", "--output.formats", "[mp4,gif]"], ["fit", "--output.formats", "[mp4,gif]"]),
        (["fit", "--model.autoencoder.resolution", "128,192"], ["fit", "--model.autoencoder.resolution", "[128,192]"]),
        (["fit", "--model.autoencoder.resolution", "128"], ["fit", "--model.autoencoder.resolution", "128"]),
        (["fit", "--model.autoencoder.frames", "16"], ["fit", "--model.autoencoder.frames", "16"]),
        (["fit", "--data.root", "a,b"], ["fit", "--data.root", "a,b"]),
        (["fit", "--evaluation.frames", "null"], ["fit", "--evaluation.frames", "null"]),
    ],
)
def test_lists_with_commas(given, parsed):
    command, *words = given
    assert [command, *with_comma_lists(words)] == parsed


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        cli.main(["completion", "--target", "bash"])
    path = tmp_path_factory.mktemp("completion") / "pvdm.sh"
    path.write_text(text.getvalue())
    return path


@pytest.mark.parametrize(
    "words, expected",
    [
        (["pvdm", "pre"], "predict"),
        (["pvdm", "fit", "--model.adversarial_st"], "--model.adversarial_start"),
        (["pvdm", "fit", "--config", "demo_l"], "demo_ldm.yaml"),
        (["pvdm", "check-data", "--rep"], "--report"),
        (["pvdm", "fit", "--data", "UC"], "UCF101"),
        *(
            (["pvdm", "predict", "--ckpt_path", name[:2]], name)
            for name in ("my video.ckpt", "it's.ckpt", '"a".ckpt', "$HOME.ckpt", "über *.ckpt", "a;b.ckpt", "[x].ckpt")
        ),
    ],
)
def test_bash_completes(script, words, expected):
    (script.parent / expected).touch()
    array = " ".join(map(shlex.quote, words))
    command = f"source {script}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _pvdm; "
    command += "printf '%s\\n' \"${COMPREPLY[@]}\""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=script.parent)
    assert done.stderr == ""
    assert set(done.stdout.splitlines()) == {expected}


@pytest.fixture(scope="module")
def check():
    return jsonschema.Draft202012Validator(json.loads(config_schema()))


@pytest.mark.parametrize("name", shipped_configs())
def test_the_schema_takes_what_is_shipped_and_no_misspelling(check, name):
    config = yaml.safe_load((config_folder() / name).read_text())
    assert not list(check.iter_errors(config))
    for name in {"model", "data"} & set(config):
        config[name].setdefault("init_args", {})["learning_rat"] = 1
        assert list(check.iter_errors(config))
        del config[name]["init_args"]["learning_rat"]
        assert not list(check.iter_errors(config))
    for network in ("autoencoder", "denoiser"):
        arguments = config.get("model", {}).get("init_args", {})
        if network in arguments:
            arguments[network]["init_args"]["dept"] = 3
            assert list(check.iter_errors(config))
            del arguments[network]["init_args"]["dept"]
    config["trainer"] = {"max_stepz": 1}
    assert list(check.iter_errors(config))


def test_the_schema_takes_the_configuration_that_a_run_saves(check, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = yaml.safe_load(printed(capsys, "fit", "--config", "demo_ae.yaml", "--print_config"))
    saved["ckpt_path"] = None
    assert not [f"{list(error.path)}: {error.message[:200]}" for error in check.iter_errors(saved)]


def test_a_dry_run_says_what_a_run_takes_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pvdm"])
    small = ["--model.autoencoder.dim", "32", "--model.autoencoder.resolution", "16", "--model.autoencoder.frames", "4"]
    options = ["--trainer.accelerator", "cpu", "--model.adversarial_start", "1000", "--trainer.max_steps", "3000"]
    text = printed(capsys, "fit", "--config", "demo_ae.yaml", *options, *small, "--dry_run")
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line)
    assert rows["batch"] == "clip uint8 [4, 3, 4, 16, 16]"
    assert rows["latents"] == "z_s 4x2x2, z_h 4x4x2, z_w 4x4x2"
    assert "autoencoder" in rows["parameters"] and "GiB at the peak of 6 steps" in rows["memory"]
    assert "adversarial phase" in rows["step"] and rows["run"].startswith("3000 steps: ")
    assert "MiB each" in rows["checkpoint"] and "preset" not in rows
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize("batches", [1, 3])
def test_a_dry_run_counts_optimizer_steps(capsys, tmp_path, monkeypatch, batches):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pvdm"])
    ticks = itertools.count()  # each batch takes a second
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    pipeline = VideoPipeline.from_pretrained("showcase")
    checkpoint = tmp_path / "first.ckpt"
    save_checkpoint(AutoencoderModule(pipeline.first_stage.autoencoder), checkpoint)
    options = ["--model.autoencoder_checkpoint", str(checkpoint), "--trainer.accelerator", "cpu", "--dry_run"]
    options += ["--model.denoiser.latent_channels", "6", "--data.batch_size", "1"]
    options += ["--trainer.max_steps", "100", "--trainer.accumulate_grad_batches", str(batches)]
    text = printed(capsys, "fit", "--config", "demo_ldm.yaml", *options)
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line)
    assert rows["step"] == f"{batches} s" and "peak of 6 steps" in rows["memory"]
    assert rows["run"].startswith(f"100 steps: {duration(100 * batches)} ")
