"""`pvdm predict`: videos in files."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from pvdm_lightning import __version__
from pvdm_lightning.callbacks import PredictionWriter, SamplingProgress
from pvdm_lightning.callbacks.prediction_writer import PAGE, SHEET
from pvdm_lightning.cli.checkpoint import Checkpoint
from pvdm_lightning.cli.console.output import relative, say
from pvdm_lightning.cli.pvdm_cli import PvdmCLI
from pvdm_lightning.data.videos.contexts import read_context
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.given import Given
from pvdm_lightning.training import LatentDiffusionModule


def predict(cli: PvdmCLI) -> None:
    """Sample videos (stage two), or reconstruct validation clips (stage one)."""
    trainer, model = cli.trainer, cli.model
    sampling: Sampling = cli.config_init["sampling"]
    writer: PredictionWriter = cli.config_init["output"]
    assert cli.request.checkpoint is not None
    source: LightningDataModule | DataLoader[int]
    if isinstance(model, LatentDiffusionModule):
        model.predict_with(sampling, _given(sampling, model.denoiser))
        sampling.samplers(model.schedule)
        sampling.check_memory(model.clip_shape)
        if trainer.world_size > sampling.num_videos:
            problem = f"is fewer than the {trainer.world_size} processes, and each needs one"
            raise InvalidArgumentError(
                "--sampling.num_videos", sampling.num_videos, problem, "Use fewer --trainer.devices."
            )
        numbers: Any = torch.arange(sampling.num_videos)
        source = DataLoader(numbers, batch_size=sampling.batch_size)
        writer.about = _record(cli.request.checkpoint, sampling)
        writer.about["sampling"].update(model.pipeline.autoguidance_record(sampling))
    elif cli.datamodule is None:
        raise InvalidArgumentError("--data", None, "reconstructing needs clips", "Give --data, as to fit.")
    else:
        data: Any = cli.datamodule  # of any class that gives clips
        data.limit_validation(sampling.num_videos)
        source = data
        writer.about = _record(cli.request.checkpoint, None)
    trainer.callback_list.append(SamplingProgress())
    trainer.predict(model, source, return_predictions=False)
    if trainer.is_global_zero:
        rows = [("videos", f"{relative(writer.dir)} ({', '.join(writer.formats)})")]
        for name, wanted in ((PAGE, writer.page), (SHEET, writer.contact_sheets)):
            rows += [("look at", str(relative(writer.dir / name)))] if wanted else []
        say(rows)


def _given(sampling: Sampling, denoiser: Denoiser) -> Given:
    """What the files that options name give of the videos."""
    if sampling.context is None:
        return Given()
    context = read_context(sampling.context)
    channels = denoiser.context_channels
    if context.shape[2] != channels:
        takes = f"those of {channels}" if channels else "no context"
        problem = f"has vectors of {context.shape[2]} channels, and the model takes {takes}"
        remedy = "Give such vectors." if channels else "Leave it out, or train one with Denoiser.context_channels."
        raise InvalidArgumentError("Sampling.context", sampling.context, problem, remedy)
    return Given(context=context[torch.arange(sampling.num_videos) % len(context)])


def _record(checkpoint: Checkpoint, sampling: Sampling | None) -> dict[str, Any]:
    """How videos are made, for their metadata; nothing in it changes when the command is repeated.

    Args:
        checkpoint: The model.
        sampling: Options of sampling; None for reconstructions.
    """
    model = checkpoint.provenance()
    about = {"sha256": model.sha256, "global_step": model.global_step, "name": checkpoint.display_name}
    record: dict[str, Any] = {"pvdm": __version__, "checkpoint": about}
    if sampling is None:
        return {**record, "shows": "left: original, right: reconstruction"}
    # How many are drawn, how many at once, and how kernels are started changes no video.
    left_out = ("num_videos", "batch_size", "cuda_graph")
    return {**record, "sampling": {key: value for key, value in vars(sampling).items() if key not in left_out}}
