"""The JSON schema of `pvdm fit`'s configurations: an editor completes and checks them with it."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser
from lightning import Trainer

from pvdm_lightning.callbacks import Checkpoints, DivergenceGuard, FiniteTraining, VideoLogger
from pvdm_lightning.cli.parsers import command_parsers
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class

_OPEN = ("accelerator", "strategy", "logger", "callbacks", "profiler", "plugins")
"""Options of the Trainer that take objects of any library: the schema leaves them open."""
_NO_CONFIG = ("help", "config", "print_config")
"""Options that no configuration holds."""


def config_schema() -> str:
    """JSON; classes of the user's own are not in it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(tuple(map(find_class, MODULES)), "model")
    parser.add_subclass_arguments(tuple(map(find_class, DATA_MODULES)), "data")
    parser.add_class_arguments(Trainer, "trainer", skip=set(_OPEN))
    for name in _OPEN:
        parser.add_argument(f"--trainer.{name}", type=Any, default=None)
    sections = {
        "checkpoint": Checkpoints,
        "video_logger": VideoLogger,
        "finite": FiniteTraining,
        "divergence": DivergenceGuard,
    }
    for name, kind in sections.items():
        parser.add_class_arguments(kind, name)
    # Those of no section, as the command has them: a saved configuration holds them all.
    for action in command_parsers()["fit"]._actions:
        if "." not in action.dest and action.dest not in (*sections, "model", "data", "trainer", *_NO_CONFIG):
            kind = getattr(action, "_typehint", None) or (bool if action.nargs == 0 else Any)
            parser.add_argument(f"--{action.dest}", type=kind, default=action.default, help=action.help)
    return str(parser.get_completion_script("jsonschema")) + "\n"
