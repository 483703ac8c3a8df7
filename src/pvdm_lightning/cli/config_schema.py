"""The JSON schema of `pvdm fit`'s configurations: an editor completes and checks them with it."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser
from lightning import Trainer

from pvdm_lightning.cli.sections import options_of, sections_of
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class

_OPEN = ("accelerator", "strategy", "logger", "callbacks", "profiler", "plugins")
"""Options of the Trainer that take objects of any library: the schema leaves them open."""


def config_schema() -> str:
    """JSON; classes of the user's own are not in it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(tuple(map(find_class, MODULES)), "model")
    parser.add_subclass_arguments(tuple(map(find_class, DATA_MODULES)), "data")
    parser.add_class_arguments(Trainer, "trainer", skip=set(_OPEN))
    for name in _OPEN:
        parser.add_argument(f"--trainer.{name}", type=Any, default=None)
    for section in sections_of("fit"):
        if section.name not in ("model", "data", "trainer"):
            parser.add_class_arguments(section.kind, section.name)
    for option in options_of("fit"):
        kind = bool if option.type is None else option.type
        parser.add_argument(f"--{option.name}", type=kind, default=option.default, help=option.help)
    return str(parser.get_completion_script("jsonschema")) + "\n"
