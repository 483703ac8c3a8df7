"""What a user reads in place of a stack trace: one line that names the option, its value and the remedy."""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import replace

from jsonargparse import ArgumentError
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.feature_networks import FoundNetworks

OPTIONS = {
    "AutoencoderLoss": "--model.",
    "AutoencoderModule": "--model.",
    "CacheOptions": "--output.",
    "DataModule": "--data.",
    "EMA": "--model.ema_",
    "Evaluation": "--evaluation.",
    "FeatureNetworks": "--metrics.",
    "FiniteTraining": "--finite.",
    "DivergenceGuard": "--divergence.",
    "Checkpoints": "--checkpoint.",
    "LatentDiffusionModule": "--model.",
    "NoiseSchedule": "--model.",
    "PredictionWriter": "--output.",
    "Sampling": "--sampling.",
    "Trainer": "--trainer.",
    "TriplaneUNet": "--model.denoiser.",
    "VideoAutoencoder": "--model.autoencoder.",
    "WarmupDecay": "--model.",
    "measure_folders": "--",
}
"""Classes and functions of the library -> the options that their arguments come from."""
_ARGUMENT = re.compile(rf"\b({'|'.join(OPTIONS)})\.(?=\w)")


def in_options(text: str) -> str:
    """A text of the library with its arguments replaced by the options they come from."""
    return _ARGUMENT.sub(lambda match: OPTIONS[match[1]], text)


def said_in_options(networks: FoundNetworks) -> FoundNetworks:
    """The networks, with the reasons of skipped metrics in terms of options."""
    skipped = [metric._replace(reason=in_options(metric.reason)) for metric in networks.skipped]
    return replace(networks, skipped=skipped)


class OptionFormatter(logging.Formatter):
    """Formats the library's log records in terms of options."""

    def format(self, record: logging.LogRecord) -> str:
        return in_options(super().format(record))


def with_options(error: InvalidArgumentError) -> str:
    """The error in terms of options."""
    text = str(error)
    for whole, option in (("DataModule", "--data"), ("ckpt_path", "--ckpt_path"), ("trust_class", "--trust_class")):
        if error.argument == whole:
            text = option + text.removeprefix(whole)
    return in_options(text)


def _while_restoring(error: BaseException) -> bool:
    """Whether an error was raised as Lightning put a checkpoint's states back: what the file holds does not fit."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "checkpoint_connector" in frame.filename]
    return isinstance(error, Exception) and any("restore" in frame.name or "resume" in frame.name for frame in frames)


def users_mistake(error: BaseException) -> str | None:
    """One line for an error that the user can correct; None for a fault of ours, which keeps its stack trace."""
    cause: BaseException | None = error
    while cause is not None:  # jsonargparse wraps what a constructor raises
        if isinstance(cause, InvalidArgumentError):
            return with_options(cause)
        cause = cause.__cause__ or cause.__context__
    if _while_restoring(error):
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return f"--ckpt_path: its state cannot be restored ({type(error).__name__}: {reason}). Give another checkpoint."
    if isinstance(error, ArgumentError):
        return " ".join(str(error).split()) + " (see --help)"
    if isinstance(error, MisconfigurationException):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError | RuntimeError) and any(
        sign in str(error) for sign in ("allocate memory", "out of memory")
    ):
        return (
            f"out of memory: {str(error).splitlines()[0][:160]}. Lower --data.batch_size, frames or resolution, or set "
            "--model.autoencoder.gradient_checkpointing (--model.denoiser.gradient_checkpointing) true."
        )
    return None
