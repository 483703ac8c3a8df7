"""Classes to choose from, and their options: what `--model.help` and `--data.help` list."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import get_args

from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, NETWORKS, find_class


def classes_asked_for(args: list[str]) -> str | None:
    """The list of classes that `--model.help` or `--data.help` without a class asks for; None if none does."""
    for i, arg in enumerate(args):
        if arg in ("--model.help", "--data.help") and (i + 1 == len(args) or args[i + 1].startswith("-")):
            paths = MODULES if arg == "--model.help" else DATA_MODULES
            return "".join(f"{path.rsplit('.', 1)[-1]:24s}{_first_line(path)}\n" for path in sorted(paths))
    return None


def _first_line(path: str) -> str:
    return (inspect.getdoc(find_class(path)) or "").split("\n")[0]


def class_names(paths: Iterable[str]) -> list[str]:
    """Their short names, by which options name them."""
    return sorted(path.rsplit(".", 1)[-1] for path in paths)


def class_options() -> list[str]:
    """Options that are arguments of our modules, data modules and networks, such as ``--data.batch_size``."""
    found = [f"--data.{name}" for path in DATA_MODULES for name in argument_types(find_class(path))]
    for path in MODULES:
        for name, hint in argument_types(find_class(path)).items():
            found.append(f"--model.{name}")
            kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
            networks = [network for network in map(find_class, NETWORKS) if issubclass(network, tuple(kinds or (str,)))]
            found += [f"--model.{name}.{argument}" for network in networks for argument in argument_types(network)]
    return sorted(set(found))
