"""Before `pvdm fit` builds anything: the run's folder, and the checkpoint it goes on from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from pvdm_lightning.cli.resume import RunFolders, check_no_other_run, newest_checkpoint
from pvdm_lightning.cli.run_checkpoint import checkpoint_of
from pvdm_lightning.cli.run_folder import RunFolder, name_of_run
from pvdm_lightning.cli.run_loggers import place_loggers
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.checkpoint import read_checkpoint
from pvdm_lightning.pipeline.run_checkpoint import CHECKPOINTS

logger = logging.getLogger(__name__)
_FIRST_STAGE = "--model.autoencoder_checkpoint"


class FoundRun(NamedTuple):
    """A run that is about to start or to go on.

    Attributes:
        folder: It writes into.
        given: The configuration without what follows from the folder, so that it starts other runs, too.
        purge_step: Step that a run goes on from; None of one that starts.
    """

    folder: RunFolder
    given: Any
    purge_step: int | None


def find_run(config: Any) -> FoundRun:
    """Find folder and checkpoint of a run, and put them into its configuration.

    Args:
        config: Of `fit`, parsed; changed in place.

    Raises:
        InvalidArgumentError: There is no such checkpoint, or another run is in the way.
    """
    root = Path(config.get("trainer.default_root_dir") or ".")
    first_stage = config.get("model.init_args.autoencoder_checkpoint")
    if first_stage is not None:
        found = checkpoint_of(first_stage, _FIRST_STAGE, root, stage="AutoencoderModule")
        config["model"]["init_args"]["autoencoder_checkpoint"] = found
    dirpath = config.get("checkpoint.dirpath")
    folders = RunFolders(Path(dirpath) if dirpath else None, root / name_of_run(config))
    going_on = _find_checkpoint(config, folders)
    purge_step = None
    if going_on is not None:
        purge_step = int(read_checkpoint(going_on, "--ckpt_path")["global_step"])
        logger.info("going on from %s, step %d", going_on, purge_step)
    in_a_run = going_on is not None and going_on.parent.name == CHECKPOINTS
    given = config.clone()
    folder = RunFolder(folders.root, going_on.parents[1] if going_on and in_a_run else None)
    if dirpath is None:
        config["checkpoint"]["dirpath"] = str(folder.checkpoints)
    place_loggers(config.get("trainer.logger"), folder.path, root)
    return FoundRun(folder, given, purge_step)


def _find_checkpoint(config: Any, folders: RunFolders) -> Path | None:
    """Put the checkpoint to start from into the configuration; returns it if its run goes on in its folder."""
    path = config.get("ckpt_path")
    if not config.get("resume") and path != "last":
        if path is not None:
            config["ckpt_path"] = path = checkpoint_of(path, "--ckpt_path", folders.root.parent)
        check_no_other_run(folders, path)
        return None
    if path not in (None, "last"):
        remedy = "Leave one of them out."
        raise InvalidArgumentError("--ckpt_path", path, "stands beside --resume, which finds its own", remedy)
    found = newest_checkpoint(folders)
    if found is None and path == "last":
        problem = f"there is no whole checkpoint below {folders.dirpath or folders.root}"
        raise InvalidArgumentError("--ckpt_path", path, problem, "Give a path.")
    config["ckpt_path"] = None if found is None else str(found)
    return found
