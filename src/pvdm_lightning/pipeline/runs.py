"""What a run is, and which checkpoint is the newest.

A run is a folder, ``runs/<name>/<start>``, with its checkpoints in ``checkpoints``. Checkpoints are ordered by the
start of the training that wrote them, which they hold (``run``, ``started``), then by their step. Times of files change
with copies and clocks, and tell nothing. Where an older checkpoint holds no start, the name of its folder tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.checkpoint import STAGES, check_resumable, stage_of

CHECKPOINTS, LAST = "checkpoints", "last.ckpt"
LATEST = "latest"
"""Names the newest run of a folder. The link of that name leads to the run's checkpoints, not to its folder, where a
dashboard would find its log a second time; it only abbreviates, and need not be there."""
ROOT = "runs"
"""Folder of all runs, if no other is given."""
START = "%Y-%m-%d_%H-%M-%S"
"""How the folder of a run is named."""
_LATEST_START = 2**62  # nanoseconds since 1970; what claims more is damaged
_DEPTH = 6  # folders below one another in which runs are looked for


class SavedCheckpoint(NamedTuple):
    """A checkpoint that can be read, by its age; a later one is greater.

    Attributes:
        started: When the training that wrote it was started, in nanoseconds since 1970.
        step: Its global_step.
        is_last: Whether it is last.ckpt, which of two of the same step is the one to go on from.
        path: Path of the file.
        stage: Name of the module class that wrote it.
        resumable: Whether it holds what training goes on from.
    """

    started: int
    step: int
    is_last: bool
    path: Path
    stage: str
    resumable: bool


def run_of(checkpoint: str | Path) -> Path | None:
    """The folder of the run that a checkpoint is of; None where it lies elsewhere."""
    path = Path(checkpoint)
    return path.parents[1] if path.parent.name == CHECKPOINTS and len(path.parts) > 2 else None


def display_name(checkpoint: str | Path) -> str:
    """A checkpoint by its run, such as ``ae-ucf101-256/2026-01-31_12-00-00/last.ckpt``; elsewhere by its file."""
    run = run_of(Path(checkpoint).resolve())
    return Path(checkpoint).name if run is None else f"{run.parent.name}/{run.name}/{Path(checkpoint).name}"


def saved_checkpoints(paths: Iterable[Path], stage: str | None = None) -> list[SavedCheckpoint]:
    """Those of some files that are whole checkpoints, of a stage if one is given; the oldest first."""
    found = (saved for saved in map(_read, paths) if saved is not None)
    return sorted(saved for saved in found if stage in (None, saved.stage))


def checkpoint_files(folder: Path) -> list[Path]:
    """What is called a checkpoint in a folder."""
    return [path for path in folder.glob("*.ckpt") if not path.name.startswith(".")] if folder.is_dir() else []


def runs_in(folder: Path, nested: bool = True) -> list[Path]:
    """The runs of a name; `nested`, also those in folders below."""
    found: list[Path] = []
    level, seen = [folder], {_identity(folder)}
    for _ in range(_DEPTH if nested else 1):
        below = [path for above in level for path in _folders(above) if _is_new(path, seen)]
        runs = [path for path in below if (path / CHECKPOINTS).is_dir()]
        found += runs
        level = [path for path in below if path not in runs]
    return found


def newest_checkpoint(folder: Path, stage: str | None = None, nested: bool = True) -> SavedCheckpoint | None:
    """The newest checkpoint of all runs in a folder; None if there is none that can be read."""
    files = [file for run in runs_in(folder, nested) for file in checkpoint_files(run / CHECKPOINTS)]
    return next(reversed(saved_checkpoints(files, stage)), None)


def next_start(root: Path) -> int:
    """The start of a run that begins now: later than of every run in the folder, also if the clock was put back."""
    files = [file for run in runs_in(root) for file in checkpoint_files(run / CHECKPOINTS)]
    return max(time.time_ns(), *(saved.started + 1 for saved in saved_checkpoints(files)), 0)


def checkpoint_in(path: str | Path, argument: str, stage: str | None = None, root: str | Path = ROOT) -> Path:
    """The checkpoint that a path stands for.

    Args:
        path: Path of a checkpoint; of a folder: a run's, that of all runs of a name, or one with checkpoints in it; of
            a folder that holds runs followed by ``latest``; or ``latest`` alone, the newest run in `root`. What is none
            of these is returned as it is.
        argument: What it was given to.
        stage: Name of the module class that must have written it; None takes both stages.
        root: Folder of all runs.

    Raises:
        InvalidArgumentError: The folder holds no checkpoint that can be read, or none of the stage.
    """
    given = Path(path)
    if given == Path(LATEST) and not given.exists():
        found = newest_checkpoint(Path(root), stage)
        if found is None:
            problem = f"there is no finished {'first stage' if stage == 'AutoencoderModule' else 'run'} in {root}"
            raise InvalidArgumentError(argument, path, problem, "Train one, or give the path of a checkpoint.")
        return found.path
    if LATEST in given.parts:
        place = given.parts.index(LATEST)
        found = newest_checkpoint(Path(*given.parts[:place]), stage, nested=False)
        file = given.parts[place + 1 :]
        if found is not None and len(file) <= 1:
            # A folder in the place of the link is what a copy makes of it, and as old as the copy.
            named = found.path.with_name(file[0] if file else LAST)
            return named if file and named.is_file() else found.path
    return _in_folder(given, argument, stage) if given.is_dir() else given


def _in_folder(folder: Path, argument: str, stage: str | None) -> Path:
    files = [*checkpoint_files(folder / CHECKPOINTS), *checkpoint_files(folder)]
    for nested in (False, True):  # a name before the names that it begins
        files = files or [file for run in runs_in(folder, nested) for file in checkpoint_files(run / CHECKPOINTS)]
    every = saved_checkpoints(files)
    of_stage = [saved for saved in every if stage in (None, saved.stage)]
    if of_stage:
        return of_stage[-1].path
    if every and stage is not None:
        problem = f"holds only {STAGES[every[-1].stage]} checkpoint, and {STAGES[stage]} one is needed"
        raise InvalidArgumentError(argument, folder, problem, "Give the other stage's run.")
    if files:
        problem = f"holds no checkpoint that can be read, only {files[0].name} and the like"
        raise InvalidArgumentError(argument, folder, problem, "Give the path of a whole one.")
    if folder.name == CHECKPOINTS or (folder / CHECKPOINTS).is_dir() or runs_in(folder, nested=False):
        raise InvalidArgumentError(argument, folder, "holds no checkpoint yet", "Wait for its first one.")
    return folder


def _read(path: Path) -> SavedCheckpoint | None:
    """What orders a checkpoint; its tensors are mapped, not loaded. None for what is damaged or not of this project."""
    try:
        if not path.is_file():
            return None
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        stage, step = stage_of(checkpoint), checkpoint["global_step"]
        if stage not in STAGES or type(step) is not int or not isinstance(checkpoint["state_dict"], dict):
            return None
        return SavedCheckpoint(
            _started(checkpoint, path), step, path.name == LAST, path, stage, _is_resumable(checkpoint)
        )
    except Exception:  # whatever is wrong with it, an older one may do
        return None


def _started(checkpoint: dict[str, Any], path: Path) -> int:
    record = checkpoint.get("run")
    started = record.get("started") if isinstance(record, dict) else None
    if type(started) is int and 0 <= started < _LATEST_START:
        return started
    try:
        run = run_of(path.absolute())
        return int(time.mktime(time.strptime(run.name[:19], START))) * 10**9 if run is not None else 0
    except (ValueError, OverflowError):
        return 0


def _is_resumable(checkpoint: dict[str, Any]) -> bool:
    try:
        check_resumable(checkpoint, None)
    except InvalidArgumentError:
        return False
    return True


def _folders(folder: Path) -> Iterator[Path]:
    """Folders in a folder, by links too, without hidden ones and the link to the newest run."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())
    except OSError:  # no folder, or not ours to read
        return
    yield from (folder / name for name in names if name != LATEST)


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return -1, -1
    return found.st_dev, found.st_ino


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder is seen for the first time: links may lead in a circle."""
    identity = _identity(folder)
    new = identity not in seen
    seen.add(identity)
    return new
