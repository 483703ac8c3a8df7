"""Loggers of a run write into its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

PROJECT = "pvdm"


def tensorboard(folder: Path, purge_step: int | None = None) -> TensorBoardLogger:
    """The logger of a run for which none is configured, with its files in the folder itself.

    Args:
        folder: Folder of the run.
        purge_step: Step that the run goes on from: what was logged after it is dropped.
    """
    return TensorBoardLogger(folder, name="", version="", default_hp_metric=False, purge_step=purge_step)


def place_loggers(loggers: Any, folder: Path, root: Path) -> None:
    """Let configured loggers write into the folder of the run, unless they were given a place of their own.

    Args:
        loggers: trainer.logger of a parsed configuration, changed in place.
        folder: Folder of the run.
        root: Folder of all runs: a logger that names it means its run's folder.
    """
    for node in loggers if isinstance(loggers, list) else [loggers]:
        arguments = node.get("init_args") if hasattr(node, "get") else None
        if arguments is None:
            continue
        kind = str(node["class_path"]).rsplit(".", 1)[-1]
        place = Path(arguments.get("save_dir") or ".")
        if place in (root, Path(), Path("mlruns")):  # the latter two are defaults of the libraries
            _place(kind, arguments, folder, root)


def _place(kind: str, arguments: Any, folder: Path, root: Path) -> None:
    run = re.sub(r"[^\w-]", "-", f"{folder.parent.name}-{folder.name}")
    if kind == "TensorBoardLogger":
        _set(arguments, save_dir=str(folder), name="", version="", default_hp_metric=False)
    elif kind == "CSVLogger":
        # A version of its own for each start: it empties a folder that it is given.
        _set(arguments, save_dir=str(folder), name="csv")
    elif kind == "WandbLogger":
        arguments["save_dir"] = str(folder)
        _default(arguments, {"name": run, "id": run, "project": PROJECT}, "lightning_logs")
    elif kind == "MLFlowLogger":
        arguments["save_dir"] = str(folder)
        if arguments.get("tracking_uri") is None:  # MLflow no longer writes folders of files
            arguments["tracking_uri"] = f"sqlite:///{root}/mlflow.db"
            _default(arguments, {"artifact_location": str((root / "mlflow").absolute())}, "")
        _default(arguments, {"run_name": run, "experiment_name": PROJECT}, "lightning_logs")


def _set(arguments: Any, **values: Any) -> None:
    for key, value in values.items():
        arguments[key] = value


def _default(arguments: Any, values: dict[str, str], library_default: str) -> None:
    for key, value in values.items():
        if arguments.get(key) in (None, library_default):
            arguments[key] = value
