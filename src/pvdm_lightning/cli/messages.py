"""What a user reads in place of a stack trace: one line that names the option, its value and the remedy."""

from __future__ import annotations

import copy
import errno
import logging
import os
import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentError
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pvdm_lightning.cli.option_errors import OptionError, said_shortly
from pvdm_lightning.cli.sections import library_names
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.feature_networks import FoundNetworks

OPTIONS = library_names()
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
    """Formats the library's log records in terms of options; what files say in them is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(_escaped(value) for value in record.args or ())
        return printable(in_options(super().format(record)), keep="\n\t")


def _escaped(value: object) -> object:
    """An argument of a message; unlike the message itself it has no line breaks of ours."""
    return printable(value) if isinstance(value, str | Path | BaseException) else value


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
    chain = list(_chain(error))  # jsonargparse wraps what a constructor raises
    for cause in chain:
        if isinstance(cause, InvalidArgumentError):
            return with_options(cause)
        if isinstance(cause, ModuleNotFoundError) and not _is_ours(cause):
            return _missing_package(cause)
    if isinstance(error, OptionError):
        return str(error)
    if _while_restoring(error):
        reason = _in_a_line(error)
        return f"--ckpt_path: its state cannot be restored ({type(error).__name__}: {reason}). Give another checkpoint."
    if isinstance(error, ArgumentError):
        return said_shortly(str(error), ())
    for cause in chain:
        if (
            isinstance(cause, OSError)
            and not isinstance(cause, BrokenPipeError)
            and (cause.errno is not None or cause.filename is not None)
        ):
            return _of_system(cause)
    if isinstance(error, MemoryError | RuntimeError) and any(
        sign in str(error) for sign in ("allocate memory", "out of memory")
    ):
        return (
            f"out of memory: {str(error).splitlines()[0][:160]}. Lower --data.batch_size, frames or resolution, or set "
            "--model.autoencoder.gradient_checkpointing (--model.denoiser.gradient_checkpointing) true."
        )
    cause = chain[-1]
    if isinstance(cause, MisconfigurationException) or (
        isinstance(cause, ValueError | RuntimeError | TypeError | NotImplementedError) and _said_by_lightning(cause)
    ):
        return f"--trainer: {_in_a_line(cause)}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _in_a_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _said_by_lightning(error: BaseException) -> bool:
    """Whether Lightning itself raised an error: it checks what it is given."""
    return f"{os.sep}lightning{os.sep}" in _innermost(error)


def _is_ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "").split(".")[0] == "pvdm_lightning"


def _missing_package(error: ModuleNotFoundError) -> str:
    text = str(error)
    package = error.name or next(iter(re.findall(r"pip install (?:-U )?[\"'`]?([\w-]+)", text)), None)
    package = package or next(iter(re.findall(r"[Rr]equirement '([\w-]+)", text)), "it")
    return f"the package {package} is needed and not installed. Install it with `pip install {package}`."


_REMEDIES = {
    errno.ENOSPC: "Free some space; `pvdm fit --resume` goes on from the last checkpoint.",
    errno.EDQUOT: "Free some space; `pvdm fit --resume` goes on from the last checkpoint.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n), or use fewer --data.num_workers.",
}


def _of_system(error: OSError) -> str:
    """What the system refused, and where."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0, "Name another file or folder.")
    return f"{where}{error.strerror or _in_a_line(error)}. {remedy}".encode("utf-8", "backslashreplace").decode()
