"""Configurations on the command line: shipped ones found by name, and the one that a checkpoint carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from pvdm_lightning.cli.resume import expand_paths
from pvdm_lightning.cli.run_checkpoint import checkpoint_of
from pvdm_lightning.cli.shipped_configs import find_config
from pvdm_lightning.config import plain
from pvdm_lightning.data.videos.video_index import keep_index_apart
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.foreign_config import ForeignConfigError, check_node, without_machine
from pvdm_lightning.pipeline.checkpoint import read_checkpoint
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, allowed, find_class
from pvdm_lightning.training import LatentEncoder

logger = logging.getLogger(__name__)

FROM_CHECKPOINT = ("validate", "test", "predict", "encode")
"""Commands that take a trained model."""
KEYWORDS = ("best", "last", "hpc", "registry")
"""Values of --ckpt_path that Lightning resolves itself."""


def with_found_configs(args: list[str]) -> list[str]:
    """Replace the name of a shipped configuration by its path."""
    return with_values(with_values(args, "--config", find_config), "-c", find_config)


def with_found_checkpoint(args: list[str]) -> list[str]:
    """For commands that take a trained model: replace a run's folder, or `latest`, by the run's checkpoint."""
    if not args or args[0] not in FROM_CHECKPOINT:
        return args
    root = value_of(args, "--trainer.default_root_dir") or "runs"
    return with_values(args, "--ckpt_path", lambda path: checkpoint_of(path, "--ckpt_path", root))


def value_of(args: Sequence[str], option: str) -> str | None:
    """The last value of an option; None if it is not given."""
    values = [b for a, b in pairwise(args) if a == option]
    values += [arg.removeprefix(f"{option}=") for arg in args if arg.startswith(f"{option}=")]
    return values[-1] if values else None


def without_trusted_classes(args: list[str]) -> tuple[list[str], list[str]]:
    """Take --trust_class out of the arguments: (the others, the classes)."""
    others: list[str] = []
    trusted: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        if arg == "--trust_class":
            trusted.append(next(remaining, ""))
        elif arg.startswith("--trust_class="):
            trusted.append(arg.removeprefix("--trust_class="))
        else:
            others.append(arg)
    return others, trusted


def with_values(args: list[str], option: str, replace: Callable[[str], str]) -> list[str]:
    """Replace each value of an option, which stands after it or, of a long option, after its equals sign."""
    found = list(args)
    for i, arg in enumerate(args):
        if arg == option and i + 1 < len(args):
            found[i + 1] = replace(args[i + 1])
        elif option.startswith("--") and arg.startswith(f"{option}="):
            found[i] = f"{option}={replace(arg.removeprefix(f'{option}='))}"
    return found


def with_checkpoint_config(args: list[str], folder: Path) -> list[str]:
    """For commands that take a trained model: model and data of --ckpt_path come first, and options win over them.

    What encodes is always the checkpoint's autoencoder, whatever a configuration says of a model.
    """
    if not args or args[0] not in FROM_CHECKPOINT:
        return args
    encodes = args[0] == "encode"
    path = value_of(args, "--ckpt_path")
    # A configuration may hold the path, and help needs none; what is missing in the end is said once all is read.
    may_do_without = any(
        arg in ("-h", "--help", "-c") or arg.startswith(("--config", "--print_config")) or ".help" in arg
        for arg in args
    )
    if path is None and may_do_without:
        return args
    if path in KEYWORDS:
        raise InvalidArgumentError("--ckpt_path", path, "is no file", "Give the path of a .ckpt file.")
    if path is None:
        raise InvalidArgumentError(
            "--ckpt_path", None, f"{args[0]} needs a trained model", "Give a .ckpt file of `pvdm fit`."
        )
    checkpoint = read_checkpoint(path, "--ckpt_path")
    init_args = {key: value for key, value in checkpoint["hyper_parameters"].items() if not key.startswith("_")}
    config: dict[str, Any] = {
        "model": {"class_path": checkpoint["hyper_parameters"]["_class_path"], "init_args": init_args}
    }
    data = checkpoint.get("data_config")
    if data is not None and not _configure_data(args):
        config |= _data_of_checkpoint(path, data, args)
    last: list[str] = []
    if encodes:
        del config["model"]
        encoder = folder / "encoder.yaml"
        encoder.write_text(yaml.safe_dump({"model": LatentEncoder.node_of(checkpoint)}))
        last = ["--config", str(encoder)]
    file = folder / "checkpoint.yaml"
    file.write_text(yaml.safe_dump(config))
    return [args[0], "--config", str(file), *args[1:], *last]


def _data_of_checkpoint(path: str, data: Any, args: Sequence[str]) -> dict[str, Any]:
    """The data section of a checkpoint, if its class may be named by a file; the folder that will be read is said.

    Raises:
        InvalidArgumentError: Its arguments are not those of the class.
    """
    classes = allowed(DATA_MODULES)
    if isinstance(data, Mapping) and isinstance(data.get("class_path"), str) and data["class_path"] not in classes:
        name = one_line(data["class_path"], 80)
        logger.warning(
            "the checkpoint was trained on %s, which is not loaded from a file: name it with --data, or allow it with "
            "--trust_class %s if you know the file",
            name,
            name,
        )
        return {}
    try:
        _, checked = check_node(data, classes, find_class)
    except ForeignConfigError as error:
        remedy = "Give a checkpoint that `pvdm fit` wrote, or name the data with --data."
        raise InvalidArgumentError("--ckpt_path", path, f"its data section {error}", remedy) from None
    arguments = plain(without_machine(checked))
    expand_paths(arguments)  # now, so that what is checked is what is read
    root = arguments.get("root")
    if root is not None and not any(arg == "--data.root" or arg.startswith("--data.root=") for arg in args):
        logger.info("videos are read from %s, as the checkpoint says; --data.root names another folder", root)
        keep_index_apart(Path(root))
    return {"data": {"class_path": data["class_path"], "init_args": arguments}}


def _configure_data(args: Sequence[str]) -> bool:
    """Whether a --config names a class of data: those of the checkpoint, its stride for one, are not meant then."""
    files = [b for a, b in pairwise(args) if a in ("--config", "-c")]
    files += [arg.removeprefix("--config=") for arg in args if arg.startswith("--config=")]
    for file in files:
        try:
            content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):  # the parser of the options says it in one line
            continue
        data = content.get("data") if isinstance(content, dict) else None
        if isinstance(data, str) or (isinstance(data, dict) and "class_path" in data):
            return True
    return False
