"""`pvdm COMMAND --help`: what this project adds comes first, the options of Lightning's Trainer last."""

from __future__ import annotations

import inspect

from jsonargparse import ArgumentParser

from pvdm_lightning.cli.overview import COMMANDS
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class

_TITLES = {
    "sampling": "Sampling",
    "output": "Output",
    "evaluation": "Evaluation",
    "metrics": "Networks of the metrics",
    "model": "Model: --model.help lists the classes, --model.help CLASS the options of one",
    "data": "Data: --data.help lists the classes, --data.help CLASS the options of one",
    "ckpt_path": "Checkpoint to load",
    "checkpoint": "Checkpoints",
    "video_logger": "Videos in the dashboard",
    "finite": "Gradients that are NaN or infinite",
    "divergence": "Adversarial phase that diverges",
    "trainer": "Trainer of Lightning",
}
"""Sections of options in the order of the help."""


def arrange(parser: ArgumentParser, command: str) -> None:
    """Order and name the sections of a command's help, and shorten its usage."""
    general, sections = [], {}
    for group in parser._action_groups:
        destinations = {str(action.dest).split(".")[0] for action in group._group_actions}
        section = next((name for name in _TITLES if destinations == {name}), None)
        if section is None and destinations & {"ckpt_path"}:
            group.title = _TITLES["ckpt_path"]
            sections["ckpt_path"] = group
        elif section is None:
            general.append(group)
        else:
            group.title = _TITLES[section]
            sections[section] = group
    parser._action_groups = [*general, *(sections[name] for name in _TITLES if name in sections)]
    required = "--config CONFIG" if command == "fit" else "--ckpt_path CHECKPOINT"
    parser.description = COMMANDS[command]
    parser.usage = f"pvdm {command} {required} [options]"


def classes_asked_for(args: list[str]) -> str | None:
    """The list of classes that `--model.help` or `--data.help` without a class asks for; None if none does."""
    for i, arg in enumerate(args):
        if arg in ("--model.help", "--data.help") and (i + 1 == len(args) or args[i + 1].startswith("-")):
            paths = MODULES if arg == "--model.help" else DATA_MODULES
            return "".join(f"{path.rsplit('.', 1)[-1]:24s}{_first_line(path)}\n" for path in sorted(paths))
    return None


def _first_line(path: str) -> str:
    return (inspect.getdoc(find_class(path)) or "").split("\n")[0]
