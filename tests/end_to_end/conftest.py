"""Tiny runs through the command line, as a user types them, in an empty folder."""

import json
import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import warm
from pvdm_lightning import cli

TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "max_epochs": -1,
    "max_steps": 4,
    "val_check_interval": 2,
    "check_val_every_n_epoch": None,
    "limit_val_batches": 1,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
DATA = {
    "class_path": "pvdm_lightning.Synthetic",
    "init_args": {"num_videos": 16, "num_val_videos": 4, "video_frames": 16, "batch_size": 2, "num_workers": 0},
}
AUTOENCODER = {
    "class_path": "pvdm_lightning.AutoencoderModule",
    "init_args": {
        "autoencoder": {
            "class_path": "pvdm_lightning.VideoAutoencoder",
            "init_args": {
                "frames": 4,
                "resolution": [16, 24],
                "patch": 8,
                "dim": 32,
                "depth": 1,
                "heads": 2,
                "head_dim": 8,
                "projector_depth": 1,
                "projector_heads": 2,
                "projector_mlp_dim": 32,
            },
        },
        "perceptual_weight": 0.0,
        "adversarial_start": 2,
        "discriminator_channels": 4,
        "learning_rate": 1.0e-3,
    },
}
DIFFUSION = {
    "class_path": "pvdm_lightning.LatentDiffusionModule",
    "init_args": {
        "denoiser": {
            "class_path": "pvdm_lightning.TriplaneUNet",
            "init_args": {"base_channels": 32, "channel_multipliers": [1, 1], "blocks_per_level": 1, "heads": 2},
        },
        "learning_rate": 1.0e-3,
        "warmup_steps": 4,
        "ema_decay": 0.9,
    },
}
LAST = Path("runs/run/latest/last.ckpt")


def run(*args):
    """`pvdm ARGS` in this process."""
    cli.main([str(arg) for arg in args])


def fork(folder, *args, ranks=1, program="pvdm_lightning"):
    """`pvdm ARGS` in a warm process of its own, or in as many as there are ranks, started here as torchrun starts them.

    Returns what they printed.
    A script of the test's own may take the place of `pvdm`.
    """
    return warm.run(program, args, folder, ranks)


class Pvdm:
    """What the tests need: both configurations, and commands."""

    trainer, data, autoencoder, diffusion, last = TRAINER, DATA, AUTOENCODER, DIFFUSION, LAST
    run, fork = staticmethod(run), staticmethod(fork)

    @staticmethod
    def write(folder):
        """Put tiny_ae.yaml and tiny_ldm.yaml into a folder."""
        for name, model in (("tiny_ae", AUTOENCODER), ("tiny_ldm", DIFFUSION)):
            monitor = {"monitor": "val/psnr", "mode": "max"} if name == "tiny_ae" else {"monitor": "val/loss"}
            config = {
                "seed_everything": 0,
                "run_name": "run",
                "video_logger": {"num_videos": 1},
                "model": model,
                "data": DATA,
                "trainer": TRAINER,
                "checkpoint": monitor,
            }
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="session")
def pvdm():
    return Pvdm


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty folder with the tiny configurations, and the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pvdm"])
    Pvdm.write(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folders with a finished tiny run of each stage: {"ae": checkpoint, "ldm": checkpoint}."""
    checkpoints = {}
    here = Path.cwd()
    try:
        for stage in ("ae", "ldm"):
            folder = tmp_path_factory.mktemp(stage)
            Pvdm.write(folder)
            os.chdir(folder)
            first_stage = ["--model.autoencoder_checkpoint", checkpoints["ae"]] if stage == "ldm" else []
            run("fit", "--config", f"tiny_{stage}.yaml", *first_stage)
            checkpoints[stage] = (folder / LAST).resolve()
    finally:
        os.chdir(here)
    return checkpoints


@pytest.fixture
def load():
    """Load a checkpoint as strangers' files are loaded."""
    return lambda path: torch.load(path, map_location="cpu", weights_only=True)


@pytest.fixture
def error_of(capsys):
    """`error_of(*args)`: the one line that the command says before it ends with status 2."""

    def call(*args):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(*args)
        assert ended.value.code == 2
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pvdm: error: ")]
        assert len(said) == 1
        return said[0]

    return call


class RandomDetector(nn.Module):
    """Called as StyleGAN-V's I3D is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 400, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.conv.weight.data.normal_(generator=torch.Generator().manual_seed(0))

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False):
        return torch.relu(self.conv(x.float() / 127.5 - 1)).mean(dim=[2, 3, 4])


class RandomClassifier(nn.Module):
    """Called as the C3D of the Inception Score is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 101, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.conv.weight.data.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)

    def forward(self, x: torch.Tensor):
        return torch.relu(self.conv(x.float() / 127.5 - 1)).mean(dim=[2, 3, 4]).softmax(dim=1)


def save_script(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module).save(str(path))
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Options of `pvdm test` and `pvdm evaluate`: seeded random networks in the published files' formats.

    Their hashes are not the published ones, and so the names under which they measure say.
    """
    folder = tmp_path_factory.mktemp("networks")
    detector = save_script(RandomDetector(), folder / "detector.pt")
    classifier = save_script(RandomClassifier(), folder / "classifier.pt")
    trusted = f"[{detector},{classifier}]"
    return [
        *("--metrics.i3d_stylegan_v", detector, "--metrics.transnet", "none"),
        *("--metrics.c3d", classifier, "--metrics.trust_file", trusted),
    ]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """No weights but those given, no statistics of another test."""
    monkeypatch.setenv("PVDM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "cache"


@pytest.fixture
def report_in():
    """The one report in a folder."""

    def read(folder):
        (path,) = Path(folder).glob("*.json")
        return json.loads(path.read_text())

    return read
