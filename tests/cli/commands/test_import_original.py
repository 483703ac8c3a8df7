"""Released files become checkpoints with which every command works."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pvdm_lightning import cli
from pvdm_lightning.training import AutoencoderModule

PARITY = Path(__file__).parents[2] / "parity"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Files as the original writes them, of its own (recorded) random weights: 16 x 64 x 64 clips."""
    spec = importlib.util.spec_from_file_location("parity_fill", PARITY / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    folder = tmp_path_factory.mktemp("released")
    for name, case in (("autoencoder", "autoencoder_64"), ("denoiser", "unet_32")):
        torch.save(fill.load_case(PARITY / f"{case}.json")[1], folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="module")
def imported(released, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    files = ["--autoencoder", str(released / "autoencoder.pth"), "--denoiser", str(released / "denoiser.pth")]
    cli.main(["import-original", *files, "--out", str(folder)])
    return folder


def test_both_files(imported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    data = ["--data", "Synthetic", "--data.num_videos", "2", "--data.num_val_videos", "1", "--data.num_workers", "0"]
    cpu = ["--trainer.accelerator", "cpu", "--trainer.devices", "1"]
    cli.main(["validate", "--ckpt_path", str(imported / "autoencoder.ckpt"), *data, *cpu])
    sampled = ["--sampling.num_videos", "1", "--sampling.num_inference_steps", "1", "--output.formats", "[npy]"]
    cli.main(["predict", "--ckpt_path", str(imported / "latent_diffusion.ckpt"), *sampled, *cpu])
    assert np.load("samples/video_00000.npy").shape == (16, 64, 64, 3)

    module = AutoencoderModule.load_from_checkpoint(imported / "autoencoder.ckpt", map_location="cpu")
    hyper_parameters = {key: value for key, value in module.hparams.items() if not key.startswith("_")}
    class_path = module.hparams["_class_path"]
    config = {"model": {"class_path": class_path, "init_args": hyper_parameters}}
    Path("further.yaml").write_text(yaml.safe_dump(config))
    steps = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "0", "--data.batch_size", "1"]
    further = ["--config", "further.yaml", *data, *cpu, *steps, "--trainer.logger", "false"]
    cli.main(["fit", *further, "--ckpt_path", str(imported / "autoencoder.ckpt"), "--checkpoint.dirpath", "on"])
    after = torch.load("on/last.ckpt", weights_only=True)
    assert after["global_step"] == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--autoencoder", "no.pth", "--out", "new"], "--autoencoder no.pth: there is no such file. Give"),
        (
            ["--autoencoder", "{released}/denoiser.pth", "--out", "new"],
            "no key ends with 'encoder.to_patch_embedding.weight'",
        ),
        (
            ["--autoencoder", "{released}/autoencoder.pth", "--frames", "8", "--out", "new"],
            "xy_pos_embedding [1, 17, 64] instead of",
        ),
        (["--autoencoder", "{released}/autoencoder.pth", "--out", "{imported}"], "already holds autoencoder.ckpt"),
        ([], "autoencoder"),
    ],
)
def test_mistakes(released, imported, capsys, args, said):
    with pytest.raises(SystemExit) as ended:
        cli.main(["import-original", *(arg.format(released=released, imported=imported) for arg in args)])
    assert ended.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pvdm: error: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_a_mistake_in_the_second_file_leaves_nothing_of_the_first(released, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["import-original", "--autoencoder", str(released / "autoencoder.pth"), "--denoiser", "no.pth"])
    assert not list(tmp_path.rglob("*"))
