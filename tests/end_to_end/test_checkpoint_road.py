"""A checkpoint is read once for each command, whatever it is named by, and nothing is written on the way."""

import collections
import os
import sys
from pathlib import Path

import pytest
import torch
import yaml

from pvdm_lightning import VideoPipeline
from pvdm_lightning.cli import checkpoint, request
from pvdm_lightning.cli.request import resolve

OPENED = collections.Counter()
_watched = []


def _count(event, arguments):
    if event == "open" and _watched and isinstance(arguments[0], str | os.PathLike):
        path = os.path.realpath(arguments[0])
        if path in _watched:
            OPENED[path] += 1


sys.addaudithook(_count)  # for as long as the process lives: it does nothing unless a test watches a path


@pytest.fixture
def opened(monkeypatch):
    """`opened(path, command)`: (how often its contents are read, how often it is opened) while `command()` runs."""
    read, load = [], torch.load

    def counted(path, *args, **kwargs):
        read.append(os.path.realpath(path))
        return load(path, *args, **kwargs)

    monkeypatch.setattr(torch, "load", counted)

    def call(path, command):
        path = os.path.realpath(path)
        _watched.append(path)
        OPENED.clear()
        read.clear()
        try:
            command()
        finally:
            _watched.clear()
        return read.count(path), OPENED[path]

    return call


CPU = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
SAMPLING = ["--sampling.num_videos", 1, "--sampling.num_inference_steps", 1, "--output.formats", "npy"]
# The contents are read once. Before that the file is opened for a look at its header, and where a report or a video
# says what made it, once more for its hash.
ONCE, WITH_HASH = (1, 2), (1, 3)


@pytest.mark.parametrize(
    ("stage", "command", "options", "expected"),
    [
        ("ae", "validate", [], ONCE),
        ("ldm", "validate", [], ONCE),
        ("ae", "encode", ["--output.dir", "latents"], ONCE),
        ("ldm", "encode", ["--output.dir", "latents"], ONCE),
        ("ae", "predict", SAMPLING, WITH_HASH),
        ("ldm", "predict", SAMPLING, WITH_HASH),
        ("ae", "test", ["--evaluation.dir", "report", "--metrics.transnet", "none"], WITH_HASH),
        ("ae", "fit", ["--config", "tiny_ae.yaml", "--trainer.max_steps", 5], ONCE),
        ("ldm", "fit", ["--config", "tiny_ldm.yaml", "--trainer.max_steps", 5], ONCE),
    ],
)
def test_a_checkpoint_is_read_once(pvdm, workdir, trained, opened, cache, stage, command, options, expected):
    path = trained[stage]
    assert opened(path, lambda: pvdm.run(command, "--ckpt_path", path, *options, *CPU)) == expected


@pytest.fixture
def names(workdir, trained):
    """Ways to name a checkpoint of stage two: name -> arguments of a command."""
    checkpoints = workdir / "runs/one/2026-01-01_00-00-00/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").hardlink_to(trained["ldm"])
    (workdir / "runs/one/latest").symlink_to(checkpoints)
    VideoPipeline.from_checkpoint(trained["ldm"]).save_pretrained("saved")
    (workdir / "with_path.yaml").write_text(yaml.safe_dump({"ckpt_path": "runs/one"}))
    (workdir / "with_root.yaml").write_text(yaml.safe_dump({"trainer": {"default_root_dir": "~/runs"}}))
    return {
        "path": ["--ckpt_path", str(checkpoints / "last.ckpt")],
        "equals sign": [f"--ckpt_path={checkpoints / 'last.ckpt'}"],
        "home": ["--ckpt_path=~/runs/one"],
        "run": ["--ckpt_path", str(checkpoints.parent)],
        "runs of a name": ["--ckpt_path", "runs/one"],
        "latest": ["--ckpt_path", "latest"],
        "latest elsewhere": ["--ckpt_path", "latest", "--config", "with_root.yaml"],
        "configuration": ["--config", "with_path.yaml"],
        "saved pipeline": ["--ckpt_path", "saved"],
        "the last of several": ["--ckpt_path", "nowhere.ckpt", "--config", "with_path.yaml"],
    }


def test_every_name_of_a_checkpoint_is_the_same_model(names, workdir, trained, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir))
    expected = torch.load(trained["ldm"], map_location="cpu", weights_only=True)
    before = sorted(workdir.rglob("*"))
    for name, arguments in names.items():
        resolved = resolve(["predict", *arguments])
        contents = resolved.checkpoint.contents
        assert contents["global_step"] == expected["global_step"], name
        assert contents["data_config"] == expected["data_config"], name
        denoiser = dict(contents["hyper_parameters"]["denoiser"]["init_args"])
        if name == "saved pipeline":
            denoiser["latent_shape"] = None  # as built; the pipeline keeps the one that it was completed with
        assert denoiser == expected["hyper_parameters"]["denoiser"]["init_args"], name
        for key, value in expected["state_dict"].items():
            kept = name != "saved pipeline" or key.startswith(("autoencoder.", "ema.network."))
            if kept:
                assert torch.equal(contents["state_dict"][key], value), f"{name}: {key}"
        assert {key for key in resolved.defaults if not key.startswith("sampling.")} == {"model", "data"}, name
    assert sorted(workdir.rglob("*")) == before


def test_the_showcase_is_a_model(workdir):
    resolved = resolve(["predict", "--ckpt_path", "showcase"])
    assert resolved.checkpoint.provenance().path == Path("showcase")
    assert (
        resolved.defaults["sampling.sampler"] == "dpm_solver"
        and resolved.defaults["sampling.num_inference_steps"] == 20
    )
    assert resolved.defaults["data"]["class_path"] == "pvdm_lightning.Synthetic"


def test_what_is_recorded_of_a_pipeline_follows_its_files(workdir, trained):
    VideoPipeline.from_checkpoint(trained["ae"]).save_pretrained("saved")
    found = checkpoint.Checkpoint.find("saved", "runs")
    before = found.provenance().sha256
    assert found.provenance().sha256 == before
    config = Path("saved/config.json")
    config.write_text(config.read_text() + " ")
    assert found.provenance().sha256 != before


def test_a_command_without_a_model_reads_none(monkeypatch, workdir):
    def fail(*args):
        raise AssertionError("read")

    monkeypatch.setattr(request.Checkpoint, "find", fail)
    for arguments in (["fit", "--ckpt_path", "x.ckpt"], ["evaluate", "--real", "a"], ["predict", "--help"]):
        assert resolve(arguments).checkpoint is None


def test_validate_writes_nothing_into_the_run(trained, workdir, pvdm):
    """Its metrics come at step 0, for which TensorBoard would drop what it has of later steps."""
    run = trained["ae"].parents[1]
    before = {path: path.stat().st_size for path in run.rglob("*") if path.is_file()}
    pvdm.run("validate", "--ckpt_path", trained["ae"])
    assert before == {path: path.stat().st_size for path in run.rglob("*") if path.is_file()}
