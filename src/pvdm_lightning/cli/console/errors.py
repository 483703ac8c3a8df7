"""What a user reads in place of a stack trace: one line that names the option, its value and the remedy."""

from __future__ import annotations

import contextlib
import copy
import difflib
import errno
import inspect
import logging
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentError
from lightning import Callback, Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pvdm_lightning.cli.console.parser_errors import (
    PLUGGED_IN,
    OptionError,
    missing_package,
    parser_error,
    shortened,
    with_value,
)
from pvdm_lightning.cli.sections import library_names
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.pipeline.loading import SHOWCASES

OPTIONS = library_names()
"""Classes and functions of the library -> the options that their arguments come from."""
_ARGUMENT = re.compile(rf"\b({'|'.join(OPTIONS)})\.(?=\w)")


def in_options(text: str) -> str:
    """A text of the library with its arguments replaced by the options they come from."""
    return _ARGUMENT.sub(lambda match: OPTIONS[match[1]], text)


def with_option_names(networks: FoundNetworks) -> FoundNetworks:
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


def users_mistake(error: BaseException, args: Sequence[str] = ()) -> str | None:
    """One line for an error that the user can correct; None for a fault of ours, which keeps its stack trace.

    Args:
        error: As it was raised.
        args: The command line, where values of options are looked up.
    """
    chain = list(_chain(error))  # jsonargparse wraps what a constructor raises
    for cause in chain:
        if isinstance(cause, InvalidArgumentError):
            return _with_options(cause)
        if isinstance(cause, ModuleNotFoundError) and not _is_ours(cause):
            return missing_package(str(cause), cause.name)
    if isinstance(error, OptionError):
        return str(error)
    if _while_restoring(error):
        reason = _in_a_line(error)
        return f"--ckpt_path: its state cannot be restored ({type(error).__name__}: {reason}). Give another checkpoint."
    if isinstance(error, ArgumentError):
        return parser_error(str(error), None, args)
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
    for cause in reversed(chain):
        if said := _of_plugged_in(cause):
            return said
        if isinstance(cause, MisconfigurationException) or (
            isinstance(cause, ValueError | RuntimeError | TypeError | NotImplementedError) and _said_by_lightning(cause)
        ):
            return f"{with_value(_option_in(cause), args)}: {_in_a_line(cause)}"
    return parser_error(str(error), None, args) if "jsonargparse" in _innermost(error) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes; a chain may be a circle."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _with_options(error: InvalidArgumentError) -> str:
    text = str(error)
    for whole, option in (("DataModule", "--data"), ("ckpt_path", "--ckpt_path"), ("trust_class", "--trust_class")):
        if error.argument == whole:
            text = option + text.removeprefix(whole)
    if error.problem.startswith(("there is no such", "no such file")):
        text += _near_path(str(error.value), (*SHOWCASES, "latest") if text.startswith("--ckpt_path ") else ())
    return in_options(text)


def _near_path(path: str, names: Sequence[str]) -> str:
    """The nearest name beside a path that is not there, or among other names."""
    beside: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        beside = [str(one) for one in Path(path).parent.iterdir()]
    near = difflib.get_close_matches(path, [*names, *beside], n=1, cutoff=0.75)
    return f" Did you mean {near[0]}?" if near else ""


def _while_restoring(error: BaseException) -> bool:
    """Whether an error was raised as Lightning put a checkpoint's states back: what the file holds does not fit."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "checkpoint_connector" in frame.filename]
    return isinstance(error, Exception) and any("restore" in frame.name or "resume" in frame.name for frame in frames)


def _in_a_line(error: BaseException) -> str:
    return shortened(str(error), 300) or type(error).__name__


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _said_by_lightning(error: BaseException) -> bool:
    """Whether Lightning itself raised an error: it checks what it is given."""
    return f"{os.sep}lightning{os.sep}" in _innermost(error)


def _option_in(error: BaseException) -> str:
    """The option that a text of Lightning names first: as `name`, name= or, of several_words, plainly.

    It is one of the Trainer, or of the object of ours whose constructor raised the error.
    """
    section: tuple[type, str] = (Trainer, "--trainer.")
    for frame, _ in traceback.walk_tb(error.__traceback__):
        one = type(frame.f_locals.get("self"))
        if one.__module__.startswith("pvdm_lightning.") and one.__name__ in OPTIONS:
            section = (one, OPTIONS[one.__name__])
    found = []
    for name in inspect.signature(section[0]).parameters:
        plain = rf"|\b{name}\b" if "_" in name else ""
        if match := re.search(rf"`{name}`|\b{name}={plain}", str(error)):
            found.append((match.start(), name))
    return section[1] + min(found)[1] if found else section[1].rstrip(".")


_SETTING_UP = ("__init__", "setup", "setup_environment", "setup_device")
_PACKAGE = f"{os.sep}pvdm_lightning{os.sep}"


def _of_plugged_in(error: BaseException) -> str | None:
    """An error that an object of another library raised itself: its option, class, what it says, and where."""
    raised_by: object = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        one = frame.f_locals.get("self")
        ours = _PACKAGE in frame.f_code.co_filename or type(one).__module__.startswith("pvdm_lightning.")
        if ours:
            raised_by = None
        elif isinstance(one, Strategy | Accelerator | Precision):  # they call the model, too
            raised_by = one if frame.f_code.co_name in _SETTING_UP else None
        elif isinstance(one, Logger | Callback | Profiler):
            raised_by = one
    if raised_by is None or not isinstance(error, Exception):
        return None
    option = next(option for kind, option in PLUGGED_IN.items() if isinstance(raised_by, kind))
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    kind = "" if isinstance(error, ValueError | MisconfigurationException) else f"{type(error).__name__}: "
    return f"{option} {type(raised_by).__name__}: {kind}{_in_a_line(error)} ({where})"


def _is_ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "").split(".")[0] == "pvdm_lightning"


_SPACE = "Free some space and run the command again; `pvdm fit --resume` goes on from the last checkpoint."
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EMFILE: "Raise the limit of open files (ulimit -n), or use fewer --data.num_workers.",
}


def _of_system(error: OSError) -> str:
    """What the system refused, and where."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0, "Name another file or folder.")
    return f"{where}{error.strerror or _in_a_line(error)}. {remedy}".encode("utf-8", "backslashreplace").decode()
