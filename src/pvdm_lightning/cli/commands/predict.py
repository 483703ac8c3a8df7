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
from pvdm_lightning.cli.sampling_from_files import SamplingFromFiles
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.training import LatentDiffusionModule

_LARGEST_STRIDE = 10**6
"""Of what a file may say."""


def predict(cli: PvdmCLI) -> None:
    """Sample videos (stage two), or reconstruct validation clips (stage one)."""
    trainer, model = cli.trainer, cli.model
    sampling: SamplingFromFiles = cli.config_init["sampling"]
    writer: PredictionWriter = cli.config_init["output"]
    assert cli.request.checkpoint is not None
    source: LightningDataModule | DataLoader[int]
    if isinstance(model, LatentDiffusionModule):
        stride = _stride(cli.request.checkpoint)
        model.predict_with(sampling, sampling.given(model.denoiser, model.clip_shape, stride))
        sampling.samplers(model.schedule)
        sampling.check_memory(model.clip_shape, streamed=True)
        if trainer.world_size > sampling.num_videos:
            problem = f"is fewer than the {trainer.world_size} processes, and each needs one"
            raise InvalidArgumentError(
                "--sampling.num_videos", sampling.num_videos, problem, "Use fewer --trainer.devices."
            )
        numbers: Any = torch.arange(sampling.num_videos)
        source = DataLoader(numbers, batch_size=sampling.batch_size)
        writer.about = _record(cli.request.checkpoint, sampling)
        writer.about["sampling"].update(model.pipeline.autoguidance_record(sampling))
    elif sampling.files:
        name = "--sampling.from_video" if sampling.from_image is None else "--sampling.from_image"
        remedy = "Give a checkpoint of stage two."
        raise InvalidArgumentError(name, ",".join(sampling.files), "only stage one is trained", remedy)
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


def _stride(checkpoint: Checkpoint) -> int:
    """Source frames from one frame of a clip to the next, of the data that a model was trained on; 1 if unknown."""
    data = checkpoint.contents.get("data_config")
    arguments = data.get("init_args") if isinstance(data, dict) else None
    stride = arguments.get("stride") if isinstance(arguments, dict) else None
    return stride if isinstance(stride, int) and 1 <= stride <= _LARGEST_STRIDE else 1


def _record(checkpoint: Checkpoint, sampling: SamplingFromFiles | None) -> dict[str, Any]:
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
    return {**record, "sampling": sampling.record()}
