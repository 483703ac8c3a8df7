"""The commands that are printed at the end of a command run as they are printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pvdm_lightning import cli, write_video
from pvdm_lightning.cli.console.next_steps import option
from pvdm_lightning.cli.shipped_configs import config_folder

AUTOENCODER = {"dim": 16, "depth": 1, "heads": 1, "head_dim": 16, "projector_depth": 1, "projector_mlp_dim": 16}
DENOISER = {"base_channels": 32, "channel_multipliers": [1], "blocks_per_level": 1, "attention_levels": [], "heads": 1}
TRAINER = {
    "accelerator": "cpu",
    "precision": "32-true",
    "max_steps": 1,
    "limit_val_batches": 1,
    "val_check_interval": 1,
}
TRAINER |= {"enable_progress_bar": False, "num_sanity_val_steps": 0, "check_val_every_n_epoch": None}
ODD = 'it\'s $HOME, "ü"; -x'


def small(name):
    """A shipped configuration with a network of no size, for one step on a CPU."""
    config = yaml.safe_load((config_folder() / name).read_text())
    arguments = config["model"]["init_args"]
    if name == "model/ae_64.yaml":
        arguments["autoencoder"]["init_args"] |= {**AUTOENCODER, "dim": 24, "resolution": 32}
        config["data"]["init_args"]["batch_size"] = 1
    elif "autoencoder" in arguments:
        network = arguments["autoencoder"]["init_args"]
        # Wider than the demo's: which configuration comes next is told by that.
        network |= AUTOENCODER | ({"dim": 32, "resolution": 32} if network["resolution"] == 256 else {"resolution": 16})
        arguments |= {"discriminator_channels": 4, "perceptual_weight": 0.0}
        config["data"]["init_args"]["batch_size"] = 1
    else:
        arguments["denoiser"]["init_args"] |= DENOISER
        arguments["denoiser"]["init_args"].pop("norm_groups", None)
        config["data"]["init_args"]["batch_size"] = 2
        # Distances are tested elsewhere: one of the configurations measures them here, of two videos.
        config["validation_distance"] = {"num_videos": 2 if name == "demo_ldm.yaml" else 0, "num_inference_steps": 1}
    if config["data"].get("class_path", "").endswith("Synthetic"):
        config["data"]["init_args"] |= {"num_videos": 8, "num_val_videos": 2}
    config["data"]["init_args"]["num_workers"] = 0
    config["trainer"] |= TRAINER
    config["video_logger"] = {"num_videos": 0}
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Videos in the places and layouts that the presets name."""
    folder = tmp_path_factory.mktemp("data")
    video = torch.randint(256, (3, 34, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_video(video, folder / "one.mp4")
    content = (folder / "one.mp4").read_bytes()
    names = [f"v_Archery_g{group:02d}_c0{clip}.avi" for group in (1, 9) for clip in (1, 2)]
    for path in (*(f"UCF-101/Archery/{name}" for name in names), *(f"{ODD}/{n}.mp4" for n in range(20))):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "ucfTrainTestlist").mkdir()
    (folder / "ucfTrainTestlist/classInd.txt").write_text("1 Archery\n")
    for part, group in (("train", "g09"), ("test", "g01")):
        lines = [f"Archery/{name} 1\n" for name in names if group in name]
        (folder / f"ucfTrainTestlist/{part}list01.txt").write_text("".join(lines))
    places = [f"sky_timelapse/{part}/clip/{n}" for part in ("sky_train", "sky_test") for n in (1, 2)]
    for place in (*places, *(f"frames/{n}" for n in range(20))):
        (folder / place).mkdir(parents=True)
        for number in range(18):
            Image.fromarray(np.full((32, 48, 3), number, np.uint8)).save(folder / place / f"{number:03d}.png")
    return folder


@pytest.fixture
def here(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    Path("data").symlink_to(data)
    Path("model").mkdir()
    for name in ("ae.yaml", "ldm.yaml", "demo_ae.yaml", "demo_ldm.yaml", "model/ae_64.yaml", "model/ldm_64.yaml"):
        Path(name).write_text(small(name))
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    """`run(command, *more)`: run a line as a shell reads it; returns the commands that it prints, by their labels."""

    def call(line, *more):
        words = [*shlex.split(line)[1:], *more]
        monkeypatch.setattr(sys, "argv", ["pvdm", *words])
        capsys.readouterr()
        cli.main(words)
        rows = [re.match(r"(\S.*?)  +(pvdm .*)", text) for text in capsys.readouterr().out.splitlines()]
        return {row[1]: row[2] for row in rows if row}

    return call


def config_of(pattern):
    (path,) = Path("runs").glob(pattern)
    return yaml.safe_load(path.read_text())


FEW = ["--sampling.num_inference_steps", "1", "--sampling.num_videos", "2", "--trainer.accelerator", "cpu"]


@pytest.mark.parametrize(
    "configs, options, names",
    [
        ("ae.yaml", [], ["ldm.yaml"]),
        (
            "ae.yaml model/ae_few_steps.yaml data/video_folder.yaml",
            ["--data.root", f"data/{ODD}", "--data.stride", "2"],
            ["ldm.yaml", "model/ldm_few_steps.yaml", "data/video_folder.yaml"],
        ),
        ("ae.yaml data/sky_timelapse.yaml", ["--run_name", "-x 'y'"], ["ldm.yaml", "data/sky_timelapse.yaml"]),
        ("ae.yaml data/frame_folder.yaml", ["--data.val_fraction", "0.4"], ["ldm.yaml", "data/frame_folder.yaml"]),
        (
            "ae.yaml model/ae_few_steps.yaml data/synthetic.yaml",
            ["--model.autoencoder.latent_channels", "6", "--data.num_videos", "9", "--data.num_val_videos", "2"],
            ["ldm.yaml", "model/ldm_few_steps.yaml", "data/synthetic.yaml"],
        ),
        (
            "ae.yaml data/video_folder.yaml model/ae_64.yaml",
            ["--data.root", "data/UCF-101"],
            ["ldm.yaml", "model/ldm_64.yaml", "data/video_folder.yaml"],
        ),
        ("demo_ae.yaml", [], ["demo_ldm.yaml"]),
    ],
)
def test_what_fit_prints_after_every_preset(here, run, configs, options, names):
    first = run(" ".join(["pvdm fit", *(f"--config {name}" for name in configs.split())]), *options)
    assert set(first) == {"reconstructions", "measure", "stage two"}
    assert re.findall(r"--config (\S+)", first["stage two"]) == names
    second = run(first["stage two"])
    one, two = config_of("[-a]*/*/config.yaml"), config_of("ldm*/*/config.yaml")
    differs = {
        key for key in one["data"]["init_args"] if one["data"]["init_args"][key] != two["data"]["init_args"][key]
    }
    assert one["data"]["class_path"] == two["data"]["class_path"] and differs == {"batch_size"}
    assert set(second) == {"samples", "measure"}
    for line in (first["reconstructions"], second["samples"]):
        run(line, *FEW)
    pixels, few = ["--metrics.transnet", "none"], ["--evaluation.generated.num", "2"]
    for line, more in ((first["measure"], pixels), (second["measure"], few)):
        run(line, *FEW[:2], *more, "--evaluation.real.num", "2", "--trainer.accelerator", "cpu")
    assert list(Path("reconstructions").glob("*.mp4")) and list(Path("samples").glob("*.mp4"))


def test_what_validate_and_encode_print(here, run):
    run("pvdm fit --config demo_ae.yaml")
    validated = run("pvdm validate --ckpt_path runs/ae-synthetic-16/latest --data.num_val_videos 3")
    assert "demo_ldm.yaml" in validated["stage two"] and "--data.num_val_videos 3" in validated["stage two"]
    run(validated["reconstructions"], *FEW)
    encoded = run("pvdm encode --ckpt_path runs/ae-synthetic-16/latest", "--output.dir", f"./{ODD}")
    assert set(encoded) == {"stage two"}
    latents = run(encoded["stage two"])
    assert "--data Synthetic" in latents["measure"]  # latents have no videos to compare with
    run(latents["measure"], *FEW[:2], "--evaluation.generated.num", "2", "--trainer.accelerator", "cpu")
    again = run(
        "pvdm encode --ckpt_path runs/ldm-*/latest".replace("ldm-*", next(Path("runs").glob("ldm-*")).name), *VIDEOS
    )
    assert run(again["stage two"])


VIDEOS = ["--data", "Synthetic", "--data.num_videos", "4", "--data.num_val_videos", "2", "--output.dir", "again"]


def test_what_validate_prints_of_a_checkpoint_without_data(here, run):
    run("pvdm fit --config demo_ae.yaml")
    (path,) = Path("runs").glob("*/*/checkpoints/last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["data_config"]
    torch.save(checkpoint, "-bare $x.ckpt")
    line = "pvdm validate --ckpt_path './-bare $x.ckpt' --data Synthetic --data.num_videos 4 --data.num_val_videos 2"
    printed = run(line)
    run(printed["reconstructions"], *FEW)
    run(printed["stage two"])


def test_a_saved_pipeline_is_named_as_on_the_command_line(here, run):
    printed = run("pvdm validate --ckpt_path showcase --data.num_val_videos 1 --trainer.limit_val_batches 1")
    assert all("--ckpt_path showcase" in line for line in printed.values())


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1))
@pytest.mark.parametrize("name", ["-x", "~", "~/a", "$HOME", "a b", "it's", '"', "*", "ü", "`id`", "!x", "#", "a\nb"])
def test_a_shell_reads_what_was_meant(name, text):
    assert option("--data.root", f"~{'a' * 5000}").startswith("--data.root '~a")  # no path is as long
    values = (name, text, name + text)
    lines = [f"printf '%s\\0' {option('--data.root', value)}; printf '\\0'" for value in values]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    read = done.stdout.decode().split("\0\0")[:-1]
    assert len(read) == len(values)
    for words, value in zip(read, values, strict=True):
        assert words.split("\0") in (["--data.root", value], [f"--data.root={value}"])
