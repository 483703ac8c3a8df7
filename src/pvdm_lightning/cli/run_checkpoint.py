"""A run's folder, or `latest`, in place of the path of a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from pvdm_lightning.cli.console import relative
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.run_checkpoint import CHECKPOINTS, LAST, LATEST, checkpoint_in

logger = logging.getLogger(__name__)


def checkpoint_of(given: str, option: str, root: str | Path, stage: str | None = None) -> str:
    """The checkpoint that a user means.

    Args:
        given: Path of a checkpoint, which is returned as it is; folder of a run or of all runs of a name; or `latest`,
            the newest run in `root`.
        option: What it was given to.
        root: Folder of all runs.
        stage: Name of the module that `latest` is to be of; None takes any.

    Raises:
        InvalidArgumentError: There is no checkpoint.
    """
    if given == LATEST and not Path(given).exists():
        return _newest(option, Path(root), stage)
    found = checkpoint_in(given, option)
    # The link will soon point to the run that is about to start.
    return str(relative(found.resolve()) if LATEST in found.parts else found)


def _newest(option: str, root: Path, stage: str | None) -> str:
    for path in _newest_first(root.glob(f"*/*/{CHECKPOINTS}/{LAST}")):
        found = _stage(path)
        if found is not None and stage in (None, found):
            logger.info("%s %s: %s", option, LATEST, path)
            return str(path)
    problem = f"there is no finished {'first stage' if stage == 'AutoencoderModule' else 'run'} in {root}"
    raise InvalidArgumentError(option, LATEST, problem, "Train one, or give the path of a checkpoint.")


def _newest_first(paths: Iterator[Path]) -> list[Path]:
    return sorted((path for path in paths if path.is_file()), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _stage(path: Path) -> str | None:
    try:
        arguments = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["hyper_parameters"]
        return str(arguments["_class_path"]).rsplit(".", 1)[-1]
    except Exception:  # damaged or foreign: not what `latest` means
        return None
