"""`--ckpt_path` may name a saved pipeline, or the one that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import LightningModule

from pvdm_lightning.cli.checkpoint_config import FROM_CHECKPOINT, with_values
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline import VideoPipeline
from pvdm_lightning.pipeline.loading import find_folder
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule


def with_pretrained_pipeline(args: list[str], folder: Path) -> list[str]:
    """Replace a saved pipeline after --ckpt_path by a checkpoint of it, written into `folder`."""
    if not args or args[0] not in FROM_CHECKPOINT:
        return args
    return with_values(args, "--ckpt_path", lambda path: _as_checkpoint(path, folder))


def _as_checkpoint(path: str, folder: Path) -> str:
    if find_folder(path) is None:
        return path
    try:
        pipeline = VideoPipeline.from_pretrained(path)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            "--ckpt_path", path, error.problem, "Give a checkpoint or a saved pipeline."
        ) from error
    module = module_of(pipeline)
    checkpoint: dict[str, Any] = {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": pipeline.about.get("steps", 0),
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
    }
    module.on_save_checkpoint(checkpoint)
    if pipeline.about.get("data"):
        checkpoint["data_config"] = pipeline.about["data"]
    written = folder / "pipeline.ckpt"
    torch.save(checkpoint, written)
    return str(written)


def module_of(pipeline: VideoPipeline) -> LightningModule:
    """The module that could have trained a pipeline, with its weights."""
    if pipeline.denoiser is None:
        return AutoencoderModule(pipeline.first_stage.autoencoder)
    schedule = {key: pipeline.schedule.config[key] for key in ("num_train_timesteps", "beta_start", "beta_end")}
    module = LatentDiffusionModule(
        pipeline.denoiser,
        normalize_latents=pipeline.normalization is not None,
        prediction_type=pipeline.prediction_type,
        **schedule,
    )
    if module.normalization is not None and pipeline.normalization is not None:
        module.normalization.load_state_dict(pipeline.normalization.state_dict())
    module.attach_first_stage(pipeline.first_stage)
    return module
