"""Before `pvdm fit` builds anything: the run's folder, and the checkpoint it goes on from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from pvdm_lightning.cli.run.checkpoint import check_no_other_run, checkpoint_of, checkpoint_to_resume
from pvdm_lightning.cli.run.folder import RunFolder
from pvdm_lightning.cli.run.loggers import place_loggers
from pvdm_lightning.cli.run.name import name_of_run
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.checkpoint import STAGES
from pvdm_lightning.pipeline.runs import SavedCheckpoint, run_of

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
        config: Parsed configuration of `fit`; changed in place.

    Raises:
        InvalidArgumentError: There is no such checkpoint, another run is in the way, or the run cannot have its name.
    """
    root = Path(config.get("trainer.default_root_dir") or ".")
    first_stage = config.get("model.init_args.autoencoder_checkpoint")
    if first_stage is not None:
        found = checkpoint_of(first_stage, _FIRST_STAGE, root, stage="AutoencoderModule")
        config["model"]["init_args"]["autoencoder_checkpoint"] = found
    dirpath = Path(config["checkpoint.dirpath"]) if config.get("checkpoint.dirpath") else None
    runs = root / name_of_run(config, root)
    going_on = _find_checkpoint(config, dirpath, root, runs)
    if going_on is not None:
        logger.info("going on from %s, step %d", going_on.path, going_on.step)
    run = None if going_on is None else run_of(going_on.path)
    given = config.clone()
    folder = RunFolder(runs, root, run if run is not None and run.parent == runs else None)
    if dirpath is None:
        config["checkpoint"]["dirpath"] = str(folder.checkpoints)
    place_loggers(config.get("trainer.logger"), folder.path, root)
    return FoundRun(folder, given, None if going_on is None else going_on.step)


def _find_checkpoint(config: Any, dirpath: Path | None, root: Path, runs: Path) -> SavedCheckpoint | None:
    """Put the checkpoint to start from into the configuration; returns it if its run goes on in its folder."""
    path = config.get("ckpt_path")
    stage: str | None = str(config.get("model.class_path", "")).rsplit(".", 1)[-1]
    stage = stage if stage in STAGES else None
    if not config.get("resume") and path != "last":
        if path is not None:
            config["ckpt_path"] = path = checkpoint_of(path, "--ckpt_path", root, stage)
        check_no_other_run(dirpath, path)
        return None
    if path not in (None, "last"):
        remedy = "Leave one of them out."
        raise InvalidArgumentError("--ckpt_path", path, "stands beside --resume, which finds its own", remedy)
    found = checkpoint_to_resume(dirpath, runs, stage)
    if found is None and path == "last":
        problem = f"there is no whole checkpoint below {dirpath or runs}"
        raise InvalidArgumentError("--ckpt_path", path, problem, "Give a path.")
    config["ckpt_path"] = None if found is None else str(found.path)
    return found
