"""`pvdm fit --resume`: the newest whole checkpoint of a run, and the folder it goes on in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse import Namespace

from pvdm_lightning.errors import InvalidArgumentError

_CHILDREN = "PVDM_RESUMED_FROM"  # processes that a run starts go on from the checkpoint that it found


class RunFolders(NamedTuple):
    """Where the checkpoints of a run may lie.

    Attributes:
        dirpath: --checkpoint.dirpath, if it is given.
        root: Folder of the run's versions.
    """

    dirpath: Path | None
    root: Path

    @classmethod
    def of(cls, config: Any) -> RunFolders:
        """The folders that the configuration of `fit` names."""
        dirpath = config.get("checkpoint.dirpath")
        root = Path(config.get("trainer.default_root_dir") or ".")
        logger = config.get("trainer.logger")
        first = logger[0] if isinstance(logger, list) and logger else logger
        arguments = first.get("init_args") if hasattr(first, "get") else None
        if arguments is not None and arguments.get("save_dir"):
            root = Path(arguments["save_dir"]) / (arguments.get("name") or "")
        elif logger is not False:
            root = root / "lightning_logs"
        return cls(Path(dirpath) if dirpath else None, root)

    def checkpoints(self) -> list[Path]:
        """All checkpoints of the run, the newest first."""
        folders: Iterable[Path] = [self.dirpath] if self.dirpath else self.root.glob("**/checkpoints")
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
    if _is_child() and told in checkpoints:  # of this run: a variable may come from another one
        return told
    found = next((path for path in checkpoints if _is_whole(path)), None)
    if found is not None:
        os.environ[_CHILDREN] = str(found)
    return found


def version_of(path: Path) -> int | None:
    """The version folder that a checkpoint lies in."""
    match = re.fullmatch(r"version_(\d+)", path.parent.parent.name)
    return int(match[1]) if match else None


def check_no_other_run(folders: RunFolders, ckpt_path: str | None) -> None:
    """Raise `InvalidArgumentError` if a new run would replace the checkpoints of another one."""
    if folders.dirpath is None or (ckpt_path and Path(ckpt_path).resolve().parent == folders.dirpath.resolve()):
        return
    if folders.checkpoints() and not _is_child():
        remedy = "Go on with that run by --resume, or name another folder."
        problem = "holds the checkpoints of another run"
        raise InvalidArgumentError("--checkpoint.dirpath", folders.dirpath, problem, remedy)


def _is_child() -> bool:
    return os.environ.get("LOCAL_RANK", "0") != "0"


def _is_whole(path: Path) -> bool:
    try:
        return "state_dict" in torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whatever is wrong with it, an older one may do
        return False
