"""The checkpoint that a user means, and the one that a run goes on from."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pvdm_lightning.cli.console.output import relative
from pvdm_lightning.cli.run.folder import is_child
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.runs import (
    CHECKPOINTS,
    SavedCheckpoint,
    checkpoint_files,
    checkpoint_in,
    runs_in,
    saved_checkpoints,
)

logger = logging.getLogger(__name__)
_CHILDREN = "PVDM_RESUMED_FROM"  # processes that a run starts go on from the checkpoint that it found


def checkpoint_of(given: str, option: str, root: str | Path, stage: str | None = None) -> str:
    """The checkpoint that a value stands for, and logs which one; arguments and errors are those of `checkpoint_in`."""
    found = str(relative(checkpoint_in(given, option, stage, root)))
    if found != str(relative(given)):
        logger.info("%s %s: %s", option, given, found)
        return found
    return given


def checkpoint_to_resume(dirpath: Path | None, runs: Path, stage: str | None) -> SavedCheckpoint | None:
    """The newest checkpoint that training can go on from; None if there is none.

    Args:
        dirpath: --checkpoint.dirpath, if it is given.
        runs: Folder of all runs of the run's name.
        stage: Name of the module class that is trained; None takes any.
    """
    if dirpath is not None:
        files = checkpoint_files(dirpath)
    else:
        files = [file for run in runs_in(runs, nested=False) for file in checkpoint_files(run / CHECKPOINTS)]
    told = Path(os.environ.get(_CHILDREN, ""))
    if is_child() and told in files:  # of this run: a variable may come from another one
        files = [told]
    found = next((saved for saved in reversed(saved_checkpoints(files, stage)) if saved.resumable), None)
    if found is not None:
        os.environ[_CHILDREN] = str(found.path)
    return found


def check_no_other_run(dirpath: Path | None, ckpt_path: str | None) -> None:
    """Raise `InvalidArgumentError` if a new run would replace the checkpoints of another one."""
    if dirpath is None or (ckpt_path and Path(ckpt_path).resolve().parent == dirpath.resolve()):
        return
    if checkpoint_files(dirpath) and not is_child():
        remedy = "Go on with that run by --resume, or name another folder."
        problem = "holds the checkpoints of another run"
        raise InvalidArgumentError("--checkpoint.dirpath", dirpath, problem, remedy)
