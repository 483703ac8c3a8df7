"""The configurations that come with the package, found by name from any folder."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from pvdm_lightning.cli.arguments import expand
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.shipped import config_folder

__all__ = ["config_folder", "find_config", "read_config", "shipped_configs"]

MOST_NODES = 100_000
PROTOCOLS = "evaluation"
"""Folder of those that are no configurations but protocols, see `NamedProtocol`."""


def _check_yaml(path: str) -> None:
    """Raise `InvalidArgumentError` unless a file is a YAML mapping of a sensible size, its aliases expanded."""
    problem, remedy = "is larger than any configuration", "Give a YAML file of options, such as ae.yaml."
    if Path(path).stat().st_size > 2**20:
        raise InvalidArgumentError("--config", path, problem, remedy)
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), yaml.SafeLoader)
        sizes: dict[int, int] = {}
        nodes = 0 if root is None else _expanded(root, sizes)
    except RecursionError:
        nodes = MOST_NODES + 1
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        problem = f"is not valid YAML{where} ({reason})"
        raise InvalidArgumentError("--config", path, problem, "Correct that line.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InvalidArgumentError("--config", path, "is not a text file", remedy) from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise InvalidArgumentError("--config", path, "does not map options to values", remedy)
    if nodes > MOST_NODES:
        raise InvalidArgumentError("--config", path, f"{problem} once its aliases are expanded", remedy)


def _expanded(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Nodes below a node, those behind an alias counted each time; `sizes` holds what is counted already."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST_NODES + 1  # as long as it is open: an alias of its own parent never ends
        children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        below = children if isinstance(children, list) else []
        sizes[id(node)] = 1 + sum(_expanded(child, sizes) for child in below)
    return sizes[id(node)]


def shipped_configs() -> list[str]:
    """Names of the shipped configurations, such as ``data/ucf101.yaml``."""
    folder = config_folder()
    paths = (path for path in folder.rglob("*.yaml") if path.parent.name != PROTOCOLS)
    return sorted(str(path.relative_to(folder)) for path in paths)


def find_config(name: str) -> str:
    """The path of a configuration: a file here, else a shipped one of that name (with or without .yaml).

    Raises:
        InvalidArgumentError: There is neither.
    """
    path = expand(name)
    if Path(path).is_file():
        _check_yaml(path)
        return path
    folder = config_folder()
    for candidate in (folder / name, folder / f"{name}.yaml"):
        if candidate.is_file():
            if candidate.parent.name == PROTOCOLS:
                remedy = f"Give --evaluation.protocol {candidate.stem}."
                raise InvalidArgumentError("--config", name, "is a protocol of evaluations", remedy)
            return str(candidate)
    shipped = shipped_configs()
    near = difflib.get_close_matches(name, [*shipped, *(str(path) for path in Path().glob("*.y*ml"))], n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    remedy = f"{meant}Shipped: {', '.join(shipped)}."
    raise InvalidArgumentError("--config", name, "is neither a file here nor a shipped configuration", remedy)


def read_config(path: str) -> dict[str, Any]:
    """The contents of a configuration that `find_config` found."""
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
