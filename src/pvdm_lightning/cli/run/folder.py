"""The folder of a run: runs/<name>/<start>, and a link to the latest."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.output_lock import FILE_NAME as LOCK
from pvdm_lightning.pipeline.runs import CHECKPOINTS, LATEST, START, next_start

CONFIG = "config.yaml"
_CHILDREN = "PVDM_RUN_FOLDER"  # processes that a run starts write where it does
_WRITTEN = re.compile(
    rf"{re.escape(CONFIG)}|{re.escape(LOCK)}|hparams\.yaml|metrics\.csv|events\.out\.tfevents\..+|\d{{8}}\.(md|gif|png)"
)


def is_child() -> bool:
    """Whether this is not the first process of a run on its machine."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


def is_first() -> bool:
    """Whether this is the first process of a run, as far as the environment tells before processes meet."""
    return not is_child() and os.environ.get("RANK", "0") == "0" and os.environ.get("SLURM_PROCID", "0") == "0"


class RunFolder:
    """The folder that one run writes into, made when the run starts.

    Args:
        runs: Folder of all runs of this name.
        root: Folder of all runs: this one starts later than each of them, whatever the clock says.
        going_on: The folder of the run that goes on; None starts a new one.

    Raises:
        InvalidArgumentError: The folder cannot be made.

    Attributes:
        path: Path of the folder.
        started: When this training was started, in nanoseconds since 1970; see `pipeline.runs`.
    """

    def __init__(self, runs: Path, root: Path, going_on: Path | None = None) -> None:
        self.runs = runs
        self._made: list[Path] = []
        self._has_trained = going_on is not None
        self.started = next_start(root) if is_first() else time.time_ns()
        told = Path(os.environ.get(_CHILDREN, ""))
        if going_on is not None:
            self.path = going_on
        elif is_child() and told.parent == runs:
            self.path = told
        else:
            try:
                self.path = self._reserve(time.strftime(START, time.localtime(self.started / 10**9)))
            except OSError as error:
                reason = f"a run's folder cannot be made in it ({error.strerror})"
                raise InvalidArgumentError("--trainer.default_root_dir", root, reason, "Name another.") from None
        if is_first():
            os.environ[_CHILDREN] = str(self.path)

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        return self.path / CHECKPOINTS

    def _reserve(self, start: str) -> Path:
        """Two runs may start in the same second: each makes a folder that was not there."""
        number = 1
        while True:
            path = self.runs / (start if number == 1 else f"{start}-{number}")
            if not is_first():
                return path
            missing = [folder for folder in (path, *path.parents) if not folder.exists()]
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if not path.is_dir():
                    raise
                number += 1
                continue
            self._made = missing
            return path

    def has_trained(self) -> None:
        """Keep the folder: the run has taken a step."""
        self._has_trained = True

    def link_latest(self) -> None:
        """Let `latest` beside the folder point to its checkpoints, now that there is one."""
        self._has_trained = True
        link, target = self.runs / LATEST, Path(self.path.name, CHECKPOINTS)
        if not is_first() or self.path.parent != self.runs or not self.checkpoints.is_dir():
            return
        with contextlib.suppress(OSError):  # a file system without links: `latest` is found without one
            if link.is_symlink():
                if link.readlink() == target or link.readlink().name != CHECKPOINTS:
                    return
            elif link.exists():  # a copy of the link's folder, or something of the user's
                return
            partial = self.runs / f".{LATEST}.partial-{uuid.uuid4().hex[:12]}"
            partial.symlink_to(target, target_is_directory=True)
            try:
                partial.replace(link)
            except OSError:
                partial.unlink()

    def discard(self) -> None:
        """Remove the folder if the run took no step, and nothing but what runs write is in it."""
        if not self._made:
            return
        if not self._has_trained:
            for below, _, names in os.walk(self.path, topdown=False):
                with contextlib.suppress(OSError):
                    for name in filter(_WRITTEN.fullmatch, names):
                        Path(below, name).unlink()
                    Path(below).rmdir()
        for folder in self._made:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # something is in it
                return
