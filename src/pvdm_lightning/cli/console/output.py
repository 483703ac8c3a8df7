"""What reaches the terminal: our messages, what concerns the user of the libraries', and results at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.cli.console.errors import OptionFormatter
from pvdm_lightning.printing import print_result

_YELLOW, _PLAIN = "\033[33m", "\033[0m"
_FALSE_ALARMS = (
    ".*does not have many workers.*",
    ".*treespec, LeafSpec.*",
    ".*GPU available but not used.*",
    ".*The dirpath has changed.*",
    ".*dataloader is not resumable.*",
    ".*the dataloader is not.*",
    ".*have overridden .transfer_batch_to_device. in .LightningModule.*",
    ".*ShardLoader. across ranks is zero.*",
    ".*callbacks used to create the checkpoint.*",
    ".*callback states in the checkpoint are ignored.*",
    ".*in eval mode at the start of training.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*max_epochs. was not set.*",
    ".*Couldn.t infer the batch indices.*",
    ".*smaller than the logging interval.*",
    ".*found in sys.modules after import of package.*",
)
"""Warnings of libraries about what this project does on purpose."""


class _Terminal(logging.Handler):
    """Writes a line above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.WARNING and sys.stderr.isatty() and "NO_COLOR" not in os.environ:
            text = f"{_YELLOW}{text}{_PLAIN}"
        with contextlib.suppress(OSError, ValueError):  # nobody reads it
            tqdm.write(text, file=sys.stderr)


class _Formatter(OptionFormatter):
    """A message as it is, warnings and errors under that name."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname}: {text}"


def set_up_console() -> None:
    """Show our messages from info on, those of libraries from warnings on, each in a line, without false alarms."""
    handler = _Terminal()
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("pvdm_lightning").setLevel(logging.INFO)
    for library in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities"):
        logging.getLogger(library).setLevel(logging.WARNING)  # devices found, tips, states restored
    for library in ("lightning.pytorch.profilers", "lightning.pytorch.tuner"):
        logging.getLogger(library).setLevel(logging.INFO)  # what a profiler or a search that was asked for has found
    for message in _FALSE_ALARMS:
        warnings.filterwarnings("ignore", message=message)
    warnings.showwarning = _show
    threading.excepthook = _show_of_thread


def _show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    logging.getLogger("py.warnings").warning("%s", " ".join(str(message).split()))


def _show_of_thread(error: threading.ExceptHookArgs) -> None:
    if not isinstance(error.exc_value, OSError):  # such as of a full disk: who waits for the thread raises it, too
        threading.__excepthook__(error)


def say(rows: Sequence[tuple[str, str]]) -> None:
    """Print rows of a label and a text, the texts in a column."""
    width = max(len(label) for label, _ in rows) + 2
    print_result("\n" + "".join(f"{label:{width}s}{text}\n" for label, text in rows))


def relative(path: str | Path) -> Path:
    """A path from here, if it lies below."""
    absolute, here = Path(path).absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else Path(path)


def duration(seconds: float) -> str:
    """A time in words: 42 s, 3 min 20 s, 5 h 3 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
