"""The parser of each command: ours from the table of options, those of functions from their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import lightning
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from pvdm_lightning.cli.arguments import expand_paths
from pvdm_lightning.cli.commands import COMMANDS, function_of
from pvdm_lightning.cli.console.help import class_names
from pvdm_lightning.cli.console.parser_errors import OptionError, check_finite_options, parser_error
from pvdm_lightning.cli.sections import Section, options_of, sections_of
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, LOSSES, MODULES, NETWORKS, find_class

# Batch sizes are per process, and the paper's: more GPUs only if they are asked for.
_TRAINER_DEFAULTS = {"default_root_dir": "runs", "devices": 1, "enable_model_summary": False}


def build_parser(command: str) -> ArgumentParser:
    """The parser of a command."""
    for path in (*DATA_MODULES, *LOSSES, *MODULES, *NETWORKS):
        find_class(path)  # imports it: the parser knows by its name alone what has been imported
    return _of_table(command) if COMMANDS[command].has_trainer else _of_function(command)


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """The configuration that options and their files make, with `~` and variables replaced.

    Raises:
        OptionError: An option is unknown, or its value cannot be used, as a number that is not finite.
    """
    try:
        config = parser.parse_args(list(words))
    except ArgumentError as error:
        raise OptionError(parser_error(str(error), parser, words)) from None
    check_finite_options(config.as_dict())
    expand_paths(config)
    return config


def option_strings(parser: ArgumentParser) -> list[str]:
    """All options of a parser, such as ``--trainer.max_steps``."""
    return sorted(option for option in parser._option_string_actions if option.startswith("--"))


def _of_function(command: str) -> ArgumentParser:
    function = function_of(command)
    about = (function.__doc__ or "").split("\n\n")[0].strip()
    parser = ArgumentParser(prog=f"pvdm {command}", description=about, exit_on_error=False)
    sections = list(sections_of(command))
    if sections:
        parser.add_argument("-c", "--config", action=ActionConfigFile, help="Path to a YAML file of options.")
    parser.add_function_arguments(function, skip={section.name for section in sections})
    flags = [name for name, kind in get_type_hints(function).items() if kind is bool]
    for action in parser._actions:
        if action.dest in flags:
            action.nargs, action.const = "?", True  # `--paired` is `--paired true`
    for section in sections:
        _add_section(parser, section, command)
    return parser


def _of_table(command: str) -> ArgumentParser:
    required = "--config CONFIG" if command == "fit" else "--ckpt_path CHECKPOINT"
    parser = LightningArgumentParser(
        prog=f"pvdm {command}",
        description=COMMANDS[command].about,
        usage=f"pvdm {command} {required} [options]",
        dump_header=[f"lightning.pytorch=={lightning.__version__}"],
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="Path to a YAML file of options.")
    for option in options_of(command):
        kind: dict[str, Any] = {"action": "store_true"} if option.type is None else {"type": option.type}
        parser.add_argument(f"--{option.name}", default=option.default, help=option.help, **kind)
    for section in sections_of(command):
        _add_section(parser, section, command)
    defaults = {f"trainer.{name}": value for name, value in _TRAINER_DEFAULTS.items()}
    parser.set_defaults(defaults | ({"trainer.logger": False} if command in ("encode", "predict") else {}))
    return parser


def _add_section(parser: ArgumentParser, section: Section, command: str) -> None:
    if section.is_open:
        is_required = section.name == "model" and command == "fit"
        parser.add_subclass_arguments(section.kind, section.name, fail_untyped=False, required=is_required)
        names = class_names(MODULES if section.name == "model" else DATA_MODULES)
        for action in (one for one in parser._actions if one.dest == section.name):
            action.help = f"One of {', '.join(names)}, or a class of your own."
            action.extra_help = lambda: ""  # type: ignore[attr-defined]  # which lists internal classes, too
    else:
        parser.add_class_arguments(
            section.kind,
            section.name,
            skip=set(section.skip),
            fail_untyped=False,
            instantiate=section.kind is not Trainer,
            sub_configs=True,
        )
    assert parser.groups is not None
    parser.groups[section.name].title = section.title
