"""The name of a run, which is that of the folder of all runs like it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pvdm_lightning.data.latents.latent_cache import read_description
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.checkpoint import autoencoder_node, read_checkpoint
from pvdm_lightning.pipeline.runs import CHECKPOINTS, LATEST

_STAGES = {"AutoencoderModule": "ae", "LatentDiffusionModule": "ldm"}
_NAMED_BY_FOLDER = ("ArrayFolder", "CachedLatents", "FrameFolder", "VideoFolder")
"""Data sets of many kinds, which their folders tell apart."""
_LONGEST, _DEEPEST = 100, 4


def name_of_run(config: Any, root: Path) -> str:
    """--run_name, or what the configuration of `fit` trains, as ae-ucf101-256.

    Args:
        config: Parsed configuration of `fit`.
        root: Folder of all runs.

    Raises:
        InvalidArgumentError: The given name is not one of a folder in `root` that is a run's alone.
    """
    if config.get("run_name"):
        name = str(config["run_name"])
        problem = _problem_of(name, root)
        if problem is not None:
            remedy = "Give a name such as ae-ucf101 or ablations/no-ema."
            raise InvalidArgumentError("--run_name", name, problem, remedy)
        return name
    model = str(config.get("model.class_path", "")).rsplit(".", 1)[-1]
    parts = [_STAGES.get(model, model or "run"), _data_name(config.get("data")), _size(config)]
    name = re.sub(r"[^\w.-]+", "-", "-".join(part for part in parts if part)).strip("-.")
    return name.encode()[:_LONGEST].decode(errors="ignore")


def _problem_of(name: str, root: Path) -> str | None:
    """What is wrong with a name; parts of it may be folders."""
    parts = PurePath(name).parts
    if not parts or not name.isprintable():
        return "names no folder"
    if PurePath(name).is_absolute() or ".." in parts:
        return f"leads out of {root}, the folder of all runs"
    if len(parts) > _DEEPEST or any(len(part.encode()) > _LONGEST for part in parts):
        return f"is longer than {_DEEPEST} folders with names of {_LONGEST} bytes"
    for part in parts:
        if part.startswith("."):
            return f"has the hidden folder {part} in it"
        if part.casefold() in (LATEST, CHECKPOINTS):
            return f"has {part} in it, which names what is in the folder of a run"
    below = [root.joinpath(*parts[: number + 1]) for number in range(len(parts))]
    inside = next((folder for folder in below if (folder / CHECKPOINTS).is_dir()), None)
    return None if inside is None else f"leads into {inside}, the folder of another run"


def _data_name(data: Any) -> str:
    if not data:
        return ""
    kind = str(data.get("class_path", "")).rsplit(".", 1)[-1]
    arguments = data.get("init_args")
    root = arguments.get("root") if arguments and hasattr(arguments, "get") else None
    if kind == "CachedLatents" and root:
        try:  # named for what was encoded
            encoded = read_description(Path(str(root)), "--data.root")["data"]
        except InvalidArgumentError:  # said when the data are opened
            encoded = None
        if isinstance(encoded, Mapping):
            return _data_name(encoded)
    if root and (kind in _NAMED_BY_FOLDER or not str(data.get("class_path", "")).startswith("pvdm_lightning.")):
        return Path(str(root)).resolve().name.lower()
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()


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
