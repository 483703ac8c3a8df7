"""`--model.help` and `--data.help`: the classes to choose from."""

from __future__ import annotations

import inspect

from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class


def classes_asked_for(args: list[str]) -> str | None:
    """The list of classes that `--model.help` or `--data.help` without a class asks for; None if none does."""
    for i, arg in enumerate(args):
        if arg in ("--model.help", "--data.help") and (i + 1 == len(args) or args[i + 1].startswith("-")):
            paths = MODULES if arg == "--model.help" else DATA_MODULES
            return "".join(f"{path.rsplit('.', 1)[-1]:24s}{_first_line(path)}\n" for path in sorted(paths))
    return None


def _first_line(path: str) -> str:
    return (inspect.getdoc(find_class(path)) or "").split("\n")[0]
