"""Mistakes in options, in one line: the option, its value, what is expected, an example or the nearest name."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser
from lightning import Callback
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy

from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.console.help import class_options
from pvdm_lightning.cli.console.option_types import (
    argument_type,
    class_names_of,
    describe_argument,
    describe_option,
    did_you_mean,
    example_of,
    integral,
    kinds_of,
    nearest,
    option_type,
    sample_values,
    type_in_words,
    types_of,
    words_of,
)
from pvdm_lightning.errors import not_finite
from pvdm_lightning.pipeline.public_classes import find_class


class OptionError(Exception):
    """A mistake in the options, in one line."""


def check_finite_options(config: Mapping[str, Any]) -> None:
    """Raise `OptionError` if an option is a number that is NaN, infinite or too large for float32.

    The one check of all options, those of Lightning's classes included. Classes of the user's own check for themselves.

    Args:
        config: What the parser made of the command line, as nested tables.
    """
    for path, value in not_finite(_without_own_classes(config)):
        option = ".".join(part for part in path if part != "init_args")
        raise OptionError(f"--{option} {value}: is not a finite number. Give a finite number.")


def _without_own_classes(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_own_classes(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    path = value.get("class_path", "")
    if isinstance(path, str) and path and path.split(".")[0] not in ("pvdm_lightning", "lightning", "torch"):
        return None
    return {key: _without_own_classes(item) for key, item in value.items()}


PLUGGED_IN = {
    Logger: "--trainer.logger",
    Callback: "--trainer.callbacks",
    Profiler: "--trainer.profiler",
    Strategy: "--trainer.strategy",
    Accelerator: "--trainer.accelerator",
    Precision: "--trainer.plugins",
}
"""Kinds of objects that the Trainer takes from any library -> the option that names them."""


def shortened(text: str, most: int = 80) -> str:
    """The text in one line, its end replaced by dots where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def missing_package(text: str, name: str | None = None) -> str:
    """A package that is not installed, named by the error or by the command that its text recommends."""
    package = name or next(iter(re.findall(r"pip install (?:-U )?[\"'`]?([\w-]+)", text)), None)
    package = package or next(iter(re.findall(r"[Rr]equirement '([\w-]+)", text)), "it")
    return f"the package {package} is needed and not installed. Install it with `pip install {package}`."


def parser_error(text: str, parser: ArgumentParser | None, args: Sequence[str]) -> str:
    """A message of jsonargparse in one line: the option, its value, what is expected, an example or the nearest name.

    What is not known is returned as it is.

    Args:
        text: The message, with its line breaks.
        parser: Parser of the command.
        args: What was parsed.
    """
    if unknown := re.match(r"unrecognized arguments: (\S+)", text, re.IGNORECASE):
        return _unknown_option(unknown[1].split("=")[0], parser)
    if unknown := re.search(r"(?:Group '([^']+)' )?does not accept option '([^']+)'", text):
        return _unknown_option("--" + ".".join(part for part in unknown.groups() if part), parser)
    if lacks := re.match(r"argument (?:-\w/)?(--[\w.]+): expected one argument", text):
        expected, example = describe_option(parser, lacks[1].removeprefix("--"))
        return f"{lacks[1]}: its value is missing{f' ({expected})' if expected else ''}.{example_of(lacks[1], example)}"
    if missing := re.match(r"the following arguments are required: (.*)", text):
        return _missing_options(missing[1].split(", "), parser, args)
    place = _place_of(text)
    if place is None:
        return _of_instantiation(text)
    option = place.option
    if place.refused:
        return _refused_argument(f"{option}.{place.refused}", place.owner)
    if place.missing:
        first = place.missing.split(", ")[0]
        expected, example = describe_argument(place.owner, first)
        owner = place.owner.rsplit(".", 1)[-1]
        needs = f"its {place.missing} is missing{f' ({expected})' if expected else ''}"
        return f"{option} {owner}: {needs}.{example_of(f'{option}.{first}', example)}"
    value = _value(option, args) or place.value
    said = f"{option} {shortened(value)}" if value else option
    hint, default = place.hint(parser)
    if hint is None:
        return f"{said}: {shortened(place.reason or text, 300)}"
    classes = class_names_of(hint)
    if classes and not (place.reason or "").startswith("Expected a <class"):
        near = did_you_mean(value.rsplit(".", 1)[-1], classes)
        return f"{said}: is no class that is known here.{near} Known: {', '.join(classes)}."
    kinds = kinds_of(hint)
    if value and int in kinds and float not in kinds:
        with contextlib.suppress(ValueError, OverflowError):
            return f"{said}: is not {type_in_words(hint)}. Give {integral(value)}."
    near = did_you_mean(value.strip("[]"), words_of(hint)) if value else ""
    return f"{said}: is not {type_in_words(hint)}.{near or example_of(option, sample_values(hint, default))}"


def _of_instantiation(text: str) -> str:
    """A message about building objects, which names no option: the class that could not be built, and why."""
    if found := re.search(r"given class_path '([^']+)':\n\s*(.+)", text):
        with contextlib.suppress(Exception):  # whatever the class is, its name is said below
            kind = next(kind for kind in PLUGGED_IN if issubclass(find_class(found[1]), kind))
            said = f"{PLUGGED_IN[kind]} {found[1].rsplit('.', 1)[-1]}: "
            return said + (missing_package(found[2]) if "pip install" in found[2] else shortened(found[2], 300))
    said_nothing = ("- Expected a", "- Not a valid subclass", "- Does not validate", "- a ")
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line for line in lines if line.startswith("- ") and not line.startswith(said_nothing)]
    return shortened(reasons[0].strip(" -") if reasons else text, 300)


class _Place(NamedTuple):
    """Where in the tree of options a message of the parser points.

    Attributes:
        keys: Names from the top, such as ["model", "autoencoder", "resolution"].
        owner: Path of the class that the last key is an argument of; empty at the top.
        refused: An argument that the class does not take.
        missing: Arguments that the class needs.
        value: As the parser read it.
        reason: What it says last.
    """

    keys: list[str]
    owner: str
    refused: str
    missing: str
    value: str
    reason: str

    @property
    def option(self) -> str:
        return "--" + ".".join(self.keys)

    def hint(self, parser: ArgumentParser | None) -> tuple[Any, Any]:
        """Type and default; (None, None) where neither is known."""
        return argument_type(self.owner, self.keys[-1]) if self.owner else option_type(parser, self.keys[0])


_STEP = re.compile(
    r"""Parser\ key\ "(?P<key>[^"]+)" | given\ class_path\ '(?P<owner>[^']+)' | Option\ '(?P<refused>[^']+)'\ is\ not
    | arguments\ are\ required:\ (?P<missing>[\w,\ ]+) | import\ path\ string:\ (?P<value>\S+)
    | (?:Got|Given)\ value:\ (?P<given>(?!\[?Namespace|NestedArg).*)""",
    re.VERBOSE,
)


def _place_of(text: str) -> _Place | None:
    """Follow the message down its first branch: each step is indented further than the one before it."""
    keys: list[str] = []
    owner = pending = ""
    found = dict.fromkeys(("refused", "missing", "value"), "")
    indent, reason = -1, ""
    for line in text.splitlines():
        match = _STEP.search(line)
        depth = len(line) - len(line.lstrip(" -"))
        if keys and not reason and line.lstrip().startswith("- ") and depth > indent:
            reason = line.strip(" -")
        if match is None:
            continue
        kind = str(match.lastgroup)
        if keys and depth <= indent and kind != "given":
            break
        if kind == "key":
            if match["key"] not in keys[-1:]:
                keys.append(match["key"])
            owner, pending, indent, reason = pending, "", depth, ""
        elif kind == "owner":
            pending, indent = match["owner"], depth
        else:
            name = "value" if kind == "given" else kind
            found[name] = found[name] or match[kind].rstrip(".")
            reason = reason or line.strip(" -")
            if kind in ("refused", "missing"):
                owner = pending
                break
    return _Place(keys, owner, reason=reason, **found) if keys else None


def _unknown_option(name: str, parser: ArgumentParser | None) -> str:
    if not name.startswith("--"):
        return f"{name}: is no option. Names begin with --; a value with spaces needs quotes."
    options = [] if parser is None else list(parser._option_string_actions)
    if any(option.startswith("--model") for option in options):
        options += class_options()
    return f"{name}: there is no such option.{did_you_mean(name, options)}"


def _refused_argument(option: str, owner: str) -> str:
    """An argument that a class does not take: the nearest one, of this class or else of another one."""
    stem, name = option.rsplit(".", 1)
    near = nearest(name, types_of(owner))
    if near is None:
        near_option = nearest(option, class_options())
        more = f" Did you mean {near_option}?" if near_option and not near_option.startswith(f"{stem}.") else ""
        return (
            f"{option}: there is no such option of {owner.rsplit('.', 1)[-1]}.{more} "
            f"`pvdm fit {stem}.help {owner.rsplit('.', 1)[-1]}` lists them."
        )
    return f"{option}: there is no such option. Did you mean {stem}.{near}?"


def _missing_options(names: list[str], parser: ArgumentParser | None, args: Sequence[str]) -> str:
    """Options that a command cannot do without; a model is named by a configuration."""
    command = next((arg for arg in sys.argv[1:] if arg in COMMANDS), "")
    if any(name.endswith("model") for name in names):
        if any(arg == "-c" or arg.startswith("--config") for arg in args):
            return "--model: no configuration names a model. Give one that does first, such as --config ae.yaml."
        return "--config: a configuration is missing, or a --model. Example: pvdm fit --config demo_ae.yaml."
    command = command or (parser.prog.removeprefix("pvdm ") if parser is not None and parser.prog else "")
    example = f" Example: {COMMANDS[command].example}." if command in COMMANDS else ""
    return f"{', '.join(f'--{name}' for name in names)}: {'is' if len(names) == 1 else 'are'} missing.{example}"


def _value(option: str, args: Sequence[str]) -> str:
    """The last value that the command line gives to an option; empty if there is none."""
    found = ""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name.removesuffix("+") == option:
            found = value if equals else args[i + 1] if i + 1 < len(args) else ""
    return found


def with_value(option: str, args: Sequence[str]) -> str:
    """An option with the value that the command line gives it."""
    value = _value(option, args)
    return f"{option} {shortened(value)}" if value else option
