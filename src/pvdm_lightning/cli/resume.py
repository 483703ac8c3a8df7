"""`pvdm fit --resume`: the newest whole checkpoint of a run, and the folder it goes on in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse import Namespace

from pvdm_lightning.cli.run_folder import is_child
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.run_checkpoint import CHECKPOINTS

_CHILDREN = "PVDM_RESUMED_FROM"  # processes that a run starts go on from the checkpoint that it found


class RunFolders(NamedTuple):
    """Where the checkpoints of a run may lie.

    Attributes:
        dirpath: --checkpoint.dirpath, if it is given.
        root: Folder of all runs of the run's name.
    """

    dirpath: Path | None
    root: Path

    def checkpoints(self) -> list[Path]:
        """All checkpoints of the run, the newest first."""
        folders: Iterable[Path] = [self.dirpath] if self.dirpath else self.root.glob(f"*/{CHECKPOINTS}")
        found = [path for folder in folders for path in folder.glob("*.ckpt") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def expand_paths(node: Any) -> None:
    """Replace ``~`` and variables such as ``$HOME`` at the start of values: a YAML file has no shell that would."""
    items = vars(node).items() if isinstance(node, Namespace) else node.items() if isinstance(node, dict) else ()
    for key, value in list(items):
        if isinstance(value, str) and re.match(r"(~|\$\w+|\$\{\w+\})(/|$)", value):
            node[key] = os.path.expanduser(os.path.expandvars(value))  # noqa: PTH111
        else:
            expand_paths(value)
    for value in node if isinstance(node, list) else ():
        expand_paths(value)


def newest_checkpoint(folders: RunFolders) -> Path | None:
    """The newest checkpoint of a run that is whole; None if there is none."""
    checkpoints = folders.checkpoints()
    told = Path(os.environ.get(_CHILDREN, ""))
    if is_child() and told in checkpoints:  # of this run: a variable may come from another one
        return told
    found = next((path for path in checkpoints if _is_whole(path)), None)
    if found is not None:
        os.environ[_CHILDREN] = str(found)
    return found


def check_no_other_run(folders: RunFolders, ckpt_path: str | None) -> None:
    """Raise `InvalidArgumentError` if a new run would replace the checkpoints of another one."""
    if folders.dirpath is None or (ckpt_path and Path(ckpt_path).resolve().parent == folders.dirpath.resolve()):
        return
    if folders.checkpoints() and not is_child():
        remedy = "Go on with that run by --resume, or name another folder."
        problem = "holds the checkpoints of another run"
        raise InvalidArgumentError("--checkpoint.dirpath", folders.dirpath, problem, remedy)


def _is_whole(path: Path) -> bool:
    try:
        return "state_dict" in torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with it, an older one may do
        return False
