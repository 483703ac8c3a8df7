"""What a run records of itself: its configuration in the dashboard, and its data in each checkpoint."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from pvdm_lightning.callbacks.media import log_text
from pvdm_lightning.data.datamodules.cached_latents import CachedLatents

PACKAGES = ("pvdm-lightning", "torch", "torchvision", "lightning", "torchmetrics", "lpips", "decord", "av", "numpy")
FINAL = "final/"
"""Prefix of final metrics: under their own names they would be points of the curves."""


class RunRecord(Callback):
    """Logs configuration, command, package versions, device and git commit at the start, HParams at the end.

    Args:
        config: The configuration, as YAML.
    """

    def __init__(self, config: str) -> None:
        self.config = config

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        texts = {
            "run/configuration": f"```yaml\n{self.config}```",
            "run/command": f"```\n{shlex.join(['pvdm', *sys.argv[1:]])}\n```",
            "run/environment": _table(environment(pl_module.device)),
        }
        for tag, text in texts.items():
            log_text(trainer.loggers, tag, text, trainer.global_step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {
            f"{FINAL}{name}": float(value)
            for name, value in trainer.callback_metrics.items()
            if (name.startswith("val/") or name == "train/loss") and value.numel() == 1
        }
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and metrics:
                logger.log_hyperparams(options_of(pl_module.hparams), metrics, step=trainer.global_step)
                logger.save()


def options_of(node: Any) -> dict[str, Any]:
    """Hyper-parameters without the levels of class_path and init_args, such as denoiser.base_channels."""
    options: dict[str, Any] = {}
    for key, value in dict(node).items():
        if key.endswith("class_path") or key.startswith("_"):
            continue
        below = value.get("init_args", value) if isinstance(value, dict) else None
        if below is None:
            options[key] = value
        else:
            options |= {f"{key}.{name}": option for name, option in options_of(below).items()}
    return options


def environment(device: torch.device) -> dict[str, str]:
    """Versions of Python and of the packages that matter, the device, and the commit of the source tree."""
    found = {"Python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    found["git commit"] = git_commit() or "not a git checkout"
    return found


def git_commit() -> str | None:
    """Of the checkout that this package runs from, with a mark if files were changed; None outside of one."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise OSError(done.stderr)
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        # An installed package may lie in a checkout of something else, which does not track it.
        if not git("ls-files", str(Path(__file__))):
            return None
        return commit + (" with changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _table(rows: dict[str, Any]) -> str:
    lines = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"| | |\n|---|---|\n{lines}"


class SaveDataConfig(Callback):
    """Adds the data section of the configuration to checkpoints, under the key ``data_config``.

    Of cached latents also the section of the videos that were encoded, under ``encoded_data_config``.

    Args:
        data: The section as plain values, {class_path, init_args}.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["data_config"] = self.data
        encoded = getattr(trainer, "datamodule", None)
        if isinstance(encoded, CachedLatents):
            checkpoint["encoded_data_config"] = encoded.encoded_data
