"""The folder of a run: runs/<name>/<start>, and a link to the latest."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from pvdm_lightning.pipeline.checkpoint import autoencoder_node, read_checkpoint
from pvdm_lightning.pipeline.run_checkpoint import CHECKPOINTS, LATEST

_CHILDREN = "PVDM_RUN_FOLDER"  # processes that a run starts write where it does
_STAGES = {"AutoencoderModule": "ae", "LatentDiffusionModule": "ldm"}
_OWN_NAMES = {"UCF101": "ucf101", "SkyTimelapse": "sky-timelapse", "Synthetic": "synthetic"}


def is_child() -> bool:
    """Whether this is not the first process of a run on its machine."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


def is_first() -> bool:
    """Whether this is the first process of a run, as far as the environment tells before processes meet."""
    return not is_child() and os.environ.get("RANK", "0") == "0" and os.environ.get("SLURM_PROCID", "0") == "0"


def name_of_run(config: Any) -> str:
    """--run_name, or what the configuration of `fit` trains, as ae-ucf101-256."""
    if config.get("run_name"):
        return str(config["run_name"])
    model = str(config.get("model.class_path", "")).rsplit(".", 1)[-1]
    parts = [_STAGES.get(model, model or "run"), _data_name(config.get("data")), _size(config)]
    return re.sub(r"[^\w.-]+", "-", "-".join(part for part in parts if part)).strip("-")


def _data_name(data: Any) -> str:
    if not data:
        return ""
    kind = str(data.get("class_path", "")).rsplit(".", 1)[-1]
    root = data.get("init_args.root") if hasattr(data, "get") else None
    name = _OWN_NAMES.get(kind) or (Path(str(root)).name if root else kind)
    return name.lower()


def _size(config: Any) -> str:
    """Height x width of the clips that a run trains on; empty where the configuration alone does not tell."""
    arguments = config.get("model.init_args")
    resolution = arguments.get("autoencoder.init_args.resolution") if arguments else None
    checkpoint = arguments.get("autoencoder_checkpoint") if arguments else None
    if resolution is None and checkpoint is not None and Path(checkpoint).is_file():
        node = autoencoder_node(read_checkpoint(checkpoint, "--model.autoencoder_checkpoint"))
        resolution = node["init_args"].get("resolution")
    if isinstance(resolution, list | tuple):
        return "x".join(map(str, dict.fromkeys(resolution)))
    return "" if resolution is None else str(resolution)


class RunFolder:
    """The folder that one run writes into, made when the run starts.

    Args:
        runs: Folder of all runs of this name.
        going_on: The folder of the run that goes on; None starts a new one.
    """

    def __init__(self, runs: Path, going_on: Path | None = None) -> None:
        self.runs = runs
        self._made: list[Path] = []
        told = Path(os.environ.get(_CHILDREN, ""))
        if going_on is not None:
            self.path = going_on
        elif is_child() and told.parent == runs:
            self.path = told
        else:
            self.path = self._reserve(time.strftime("%Y-%m-%d_%H-%M-%S"))
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

    def link_latest(self) -> None:
        """Let `latest` beside the folder point to its checkpoints."""
        link = self.runs / LATEST
        if not is_first() or self.path.parent != self.runs or (link.exists() and not link.is_symlink()):
            return
        partial = self.runs / f".{LATEST}-{os.getpid()}"
        try:
            partial.unlink(missing_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            partial.symlink_to(Path(self.path.name, CHECKPOINTS), target_is_directory=True)
            partial.replace(link)
        except OSError:  # a file system without links: names of folders tell which is the latest
            partial.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the folder of a run that never started."""
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:  # something is in it
                return
