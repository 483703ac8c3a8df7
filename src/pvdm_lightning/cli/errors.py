"""What a user reads in place of a stack trace: one line that names the option, its value and the remedy."""

from __future__ import annotations

import contextlib
import copy
import difflib
import errno
import inspect
import logging
import os
import re
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from jsonargparse import ArgumentError, ArgumentParser
from lightning import Callback, Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.help import class_options
from pvdm_lightning.cli.sections import SECTIONS, library_names
from pvdm_lightning.errors import InvalidArgumentError, not_finite
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.feature_networks import FoundNetworks
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, NETWORKS, find_class

OPTIONS = library_names()
"""Classes and functions of the library -> the options that their arguments come from."""
_ARGUMENT = re.compile(rf"\b({'|'.join(OPTIONS)})\.(?=\w)")


def in_options(text: str) -> str:
    """A text of the library with its arguments replaced by the options they come from."""
    return _ARGUMENT.sub(lambda match: OPTIONS[match[1]], text)


def said_in_options(networks: FoundNetworks) -> FoundNetworks:
    """The networks, with the reasons of skipped metrics in terms of options."""
    skipped = [metric._replace(reason=in_options(metric.reason)) for metric in networks.skipped]
    return replace(networks, skipped=skipped)


class OptionFormatter(logging.Formatter):
    """Formats the library's log records in terms of options; what files say in them is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(_escaped(value) for value in record.args or ())
        return printable(in_options(super().format(record)), keep="\n\t")


def _escaped(value: object) -> object:
    """An argument of a message; unlike the message itself it has no line breaks of ours."""
    return printable(value) if isinstance(value, str | Path | BaseException) else value


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


# Errors that are raised anywhere


def users_mistake(error: BaseException, args: Sequence[str] = ()) -> str | None:
    """One line for an error that the user can correct; None for a fault of ours, which keeps its stack trace.

    Args:
        error: As it was raised.
        args: The command line, where values of options are looked up.
    """
    chain = list(_chain(error))  # jsonargparse wraps what a constructor raises
    for cause in chain:
        if isinstance(cause, InvalidArgumentError):
            return _with_options(cause)
        if isinstance(cause, ModuleNotFoundError) and not _is_ours(cause):
            return _missing_package(str(cause), cause.name)
    if isinstance(error, OptionError):
        return str(error)
    if _while_restoring(error):
        reason = _in_a_line(error)
        return f"--ckpt_path: its state cannot be restored ({type(error).__name__}: {reason}). Give another checkpoint."
    if isinstance(error, ArgumentError):
        return parser_error(str(error), None, args)
    for cause in chain:
        if (
            isinstance(cause, OSError)
            and not isinstance(cause, BrokenPipeError)
            and (cause.errno is not None or cause.filename is not None)
        ):
            return _of_system(cause)
    if isinstance(error, MemoryError | RuntimeError) and any(
        sign in str(error) for sign in ("allocate memory", "out of memory")
    ):
        return (
            f"out of memory: {str(error).splitlines()[0][:160]}. Lower --data.batch_size, frames or resolution, or set "
            "--model.autoencoder.gradient_checkpointing (--model.denoiser.gradient_checkpointing) true."
        )
    for cause in reversed(chain):
        if said := _of_plugged_in(cause):
            return said
        if isinstance(cause, MisconfigurationException) or (
            isinstance(cause, ValueError | RuntimeError | TypeError | NotImplementedError) and _said_by_lightning(cause)
        ):
            return f"{_with_value(_option_in(cause), args)}: {_in_a_line(cause)}"
    return parser_error(str(error), None, args) if "jsonargparse" in _innermost(error) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes; a chain may be a circle."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _with_options(error: InvalidArgumentError) -> str:
    text = str(error)
    for whole, option in (("DataModule", "--data"), ("ckpt_path", "--ckpt_path"), ("trust_class", "--trust_class")):
        if error.argument == whole:
            text = option + text.removeprefix(whole)
    if error.problem.startswith(("there is no such", "no such file")):
        text += _near_path(str(error.value), ("showcase", "latest") if text.startswith("--ckpt_path ") else ())
    return in_options(text)


def _near_path(path: str, names: Sequence[str]) -> str:
    """The nearest name beside a path that is not there, or among other names."""
    beside: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        beside = [str(one) for one in Path(path).parent.iterdir()]
    near = difflib.get_close_matches(path, [*names, *beside], n=1, cutoff=0.75)
    return f" Did you mean {near[0]}?" if near else ""


def _while_restoring(error: BaseException) -> bool:
    """Whether an error was raised as Lightning put a checkpoint's states back: what the file holds does not fit."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "checkpoint_connector" in frame.filename]
    return isinstance(error, Exception) and any("restore" in frame.name or "resume" in frame.name for frame in frames)


def _in_a_line(error: BaseException) -> str:
    return _shortened(str(error), 300) or type(error).__name__


def _shortened(text: str, most: int = 80) -> str:
    """The text in one line, its end replaced by dots where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _said_by_lightning(error: BaseException) -> bool:
    """Whether Lightning itself raised an error: it checks what it is given."""
    return f"{os.sep}lightning{os.sep}" in _innermost(error)


def _option_in(error: BaseException) -> str:
    """The option that a text of Lightning names first: as `name`, name= or, of several_words, plainly.

    It is one of the Trainer, or of the object of ours whose constructor raised the error.
    """
    section: tuple[type, str] = (Trainer, "--trainer.")
    for frame, _ in traceback.walk_tb(error.__traceback__):
        one = type(frame.f_locals.get("self"))
        if one.__module__.startswith("pvdm_lightning.") and one.__name__ in OPTIONS:
            section = (one, OPTIONS[one.__name__])
    found = []
    for name in inspect.signature(section[0]).parameters:
        plain = rf"|\b{name}\b" if "_" in name else ""
        if match := re.search(rf"`{name}`|\b{name}={plain}", str(error)):
            found.append((match.start(), name))
    return section[1] + min(found)[1] if found else section[1].rstrip(".")


_PLUGGED_IN = {
    Logger: "--trainer.logger",
    Callback: "--trainer.callbacks",
    Profiler: "--trainer.profiler",
    Strategy: "--trainer.strategy",
    Accelerator: "--trainer.accelerator",
    Precision: "--trainer.plugins",
}
"""Kinds of objects that the Trainer takes from any library -> the option that names them."""
_SETTING_UP = ("__init__", "setup", "setup_environment", "setup_device")
_PACKAGE = f"{os.sep}pvdm_lightning{os.sep}"


def _of_plugged_in(error: BaseException) -> str | None:
    """An error that an object of another library raised itself: its option, class, what it says, and where."""
    raised_by: object = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        one = frame.f_locals.get("self")
        ours = _PACKAGE in frame.f_code.co_filename or type(one).__module__.startswith("pvdm_lightning.")
        if ours:
            raised_by = None
        elif isinstance(one, Strategy | Accelerator | Precision):  # they call the model, too
            raised_by = one if frame.f_code.co_name in _SETTING_UP else None
        elif isinstance(one, Logger | Callback | Profiler):
            raised_by = one
    if raised_by is None or not isinstance(error, Exception):
        return None
    option = next(option for kind, option in _PLUGGED_IN.items() if isinstance(raised_by, kind))
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    kind = "" if isinstance(error, ValueError | MisconfigurationException) else f"{type(error).__name__}: "
    return f"{option} {type(raised_by).__name__}: {kind}{_in_a_line(error)} ({where})"


def _is_ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "").split(".")[0] == "pvdm_lightning"


def _missing_package(text: str, name: str | None = None) -> str:
    package = name or next(iter(re.findall(r"pip install (?:-U )?[\"'`]?([\w-]+)", text)), None)
    package = package or next(iter(re.findall(r"[Rr]equirement '([\w-]+)", text)), "it")
    return f"the package {package} is needed and not installed. Install it with `pip install {package}`."


_SPACE = "Free some space and run the command again; `pvdm fit --resume` goes on from the last checkpoint."
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EMFILE: "Raise the limit of open files (ulimit -n), or use fewer --data.num_workers.",
}


def _of_system(error: OSError) -> str:
    """What the system refused, and where."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    remedy = _REMEDIES.get(error.errno or 0, "Name another file or folder.")
    return f"{where}{error.strerror or _in_a_line(error)}. {remedy}".encode("utf-8", "backslashreplace").decode()


# Errors of the parser of options


def parser_error(text: str, parser: ArgumentParser | None, args: Sequence[str]) -> str:
    """A message of jsonargparse in one line: the option, its value, what is expected, an example or the nearest name.

    What is not known is returned as it is.

    Args:
        text: The message, with its line breaks.
        parser: Of the command.
        args: What was parsed.
    """
    if unknown := re.match(r"unrecognized arguments: (\S+)", text, re.IGNORECASE):
        return _unknown_option(unknown[1].split("=")[0], parser)
    if unknown := re.search(r"(?:Group '([^']+)' )?does not accept option '([^']+)'", text):
        return _unknown_option("--" + ".".join(part for part in unknown.groups() if part), parser)
    if lacks := re.match(r"argument (?:-\w/)?(--[\w.]+): expected one argument", text):
        expected, example = _of_option(parser, lacks[1].removeprefix("--"))
        return f"{lacks[1]}: its value is missing{f' ({expected})' if expected else ''}.{_example(lacks[1], example)}"
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
        expected, example = _of_argument(place.owner, first)
        owner = place.owner.rsplit(".", 1)[-1]
        needs = f"its {place.missing} is missing{f' ({expected})' if expected else ''}"
        return f"{option} {owner}: {needs}.{_example(f'{option}.{first}', example)}"
    value = _value(option, args) or place.value
    said = f"{option} {_shortened(value)}" if value else option
    hint, default = place.hint(parser)
    if hint is None:
        return f"{said}: {_shortened(place.reason or text, 300)}"
    classes = _classes(hint)
    if classes and not (place.reason or "").startswith("Expected a <class"):
        near = _did_you_mean(value.rsplit(".", 1)[-1], classes)
        return f"{said}: is no class that is known here.{near} Known: {', '.join(classes)}."
    kinds = _kinds(hint)
    if value and int in kinds and float not in kinds:
        with contextlib.suppress(ValueError, OverflowError):
            return f"{said}: is not {_words(hint)}. Give {_integral(value)}."
    near = _did_you_mean(value.strip("[]"), _choices(hint)) if value else ""
    return f"{said}: is not {_words(hint)}.{near or _example(option, _samples(hint, default))}"


def _of_instantiation(text: str) -> str:
    """A message about building objects, which names no option: the class that could not be built, and why."""
    if found := re.search(r"given class_path '([^']+)':\n\s*(.+)", text):
        with contextlib.suppress(Exception):  # whatever the class is, its name is said below
            kind = next(kind for kind in _PLUGGED_IN if issubclass(find_class(found[1]), kind))
            said = f"{_PLUGGED_IN[kind]} {found[1].rsplit('.', 1)[-1]}: "
            return said + (_missing_package(found[2]) if "pip install" in found[2] else _shortened(found[2], 300))
    said_nothing = ("- Expected a", "- Not a valid subclass", "- Does not validate", "- a ")
    lines = [line.strip() for line in text.splitlines()]
    reasons = [line for line in lines if line.startswith("- ") and not line.startswith(said_nothing)]
    return _shortened(reasons[0].strip(" -") if reasons else text, 300)


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
        return _argument(self.owner, self.keys[-1]) if self.owner else _action(parser, self.keys[0])


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
    return f"{name}: there is no such option.{_did_you_mean(name, options)}"


def _refused_argument(option: str, owner: str) -> str:
    """An argument that a class does not take: the nearest one, of this class or else of another one."""
    stem, name = option.rsplit(".", 1)
    near = _nearest(name, _types_of(owner))
    if near is None:
        near_option = _nearest(option, class_options())
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


def _with_value(option: str, args: Sequence[str]) -> str:
    value = _value(option, args)
    return f"{option} {_shortened(value)}" if value else option


# Types in words


def _action(parser: ArgumentParser | None, key: str) -> tuple[Any, Any]:
    """Type and default of an option."""
    for action in parser._actions if parser is not None else ():
        if action.dest == key:
            hint = getattr(action, "_typehint", None) or (Literal[tuple(action.choices)] if action.choices else None)
            return hint, action.default
    return None, None


def _types_of(owner: str) -> dict[str, Any]:
    """Types of a class's arguments; empty where they cannot be found out."""
    try:
        return argument_types(find_class(owner))
    except Exception:  # a class of another library, with names in its signature that are not imported
        return {}


def _argument(owner: str, name: str) -> tuple[Any, Any]:
    """Type and default of an argument of a class."""
    hint = _types_of(owner).get(name)
    if hint is None:
        return None, None
    for base in find_class(owner).__mro__:
        parameter = inspect.signature(base).parameters.get(name) if "__init__" in vars(base) else None
        if parameter is not None:
            return hint, None if parameter.default is parameter.empty else parameter.default
    return hint, None


def _of_option(parser: ArgumentParser | None, key: str) -> tuple[str, str]:
    """What an option takes, and an example; empty where they are not known."""
    hint, default = _action(parser, key)
    return ("", "") if hint is None else (_words(hint), _samples(hint, default))


def _of_argument(owner: str, name: str) -> tuple[str, str]:
    hint, default = _argument(owner, name)
    return ("", "") if hint is None else (_words(hint), _samples(hint, default))


def _kinds(hint: Any) -> list[Any]:
    """The members of a union, without null."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [member for member in members if member is not NoneType]


_PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_PLURAL = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values"}
_SAMPLES = {int: "4", float: "0.5", bool: "true", str: "NAME", Path: "FILE"}


def _words(hint: Any) -> str:
    """What a type takes: "a whole number or 2 whole numbers"."""
    kinds = _kinds(hint)
    found = [f"one of {', '.join(choices)}"] if (choices := _choices(hint, depth=0)) else []
    for kind in kinds:
        inner, origin = get_args(kind), get_origin(kind)
        if origin is Literal or (kind is int and float in kinds) or (kind is str and Path in kinds):
            continue
        if origin is None:
            found.append(_PLAIN.get(kind, "a table" if is_dataclass(kind) else "a class"))
        elif several := _choices(inner[0]) if inner else []:
            found.append(f"one or more of {', '.join(several)}")
        elif origin is tuple and inner and Ellipsis not in inner:
            found.append(f"{len(inner)} {_PLURAL.get(inner[0], 'values')}")
        else:
            found.append("a table" if origin is dict else f"a list of {_PLURAL.get(inner[0], 'values')}")
    if hint is not None and NoneType in get_args(hint):
        found.append("null")
    return " or ".join(dict.fromkeys(found))


def _choices(hint: Any, depth: int = 1) -> list[str]:
    """All words that a type takes; of a list, its members'."""
    found: list[str] = []
    for kind in _kinds(hint):
        if get_origin(kind) is Literal:
            found += map(str, get_args(kind))
        elif depth and get_args(kind):
            found += _choices(get_args(kind)[0], depth - 1)
    return list(dict.fromkeys(found))


def _samples(hint: Any, default: Any) -> str:
    """Values of a type as one types them: "128 or 128,192"; empty if none can be made up."""
    found = _choices(hint)[:1]
    kinds = _kinds(hint)
    for kind in kinds:
        inner = get_args(kind)
        if kind in _SAMPLES and not (kind in (str, Path) and found) and not (kind is int and float in kinds):
            good = type(default) is kind and (kind in (bool, str) or default > 0)
            found.append(_typed(default) if good else _SAMPLES[kind])
        elif inner and isinstance(default, list | tuple) and default:
            found.append(_typed(default))
        elif inner and inner[0] in (int, float):
            found.append("0.5,0.9" if inner[0] is float else "128,192" if get_origin(kind) is tuple else "16,128")
    return " or ".join(dict.fromkeys(found))


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _integral(value: str) -> int:
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _example(option: str, sample: str) -> str:
    return f" Example: {option} {sample}." if sample else ""


def _classes(hint: Any) -> list[str]:
    """Names of the classes that a type takes: ours, and those of the package that its base class is in."""
    found = []
    for kind in _kinds(hint):
        base = next((part for part in (*get_args(kind), kind) if isinstance(part, type)), None)
        if base is None or base in _PLAIN or is_dataclass(base) or base.__module__ == "builtins":
            continue
        ours = [find_class(path) for path in (*MODULES, *DATA_MODULES, *NETWORKS)]
        package = sys.modules.get(base.__module__.rsplit(".", 1)[0])
        theirs = [getattr(package, name, None) for name in getattr(package, "__all__", ())]
        if any(issubclass(one, base) for one in ours):
            theirs = []  # such as LightningModule, of which Lightning has none to offer
        found += [str(getattr(one, "__name__", "")) for one in (*ours, *theirs) if _is_offered(one, base)]
    return list(dict.fromkeys(found))


def _is_offered(one: object, base: type) -> bool:
    """Whether a class can take the place of `base`: it is ours, or derived from it."""
    if not isinstance(one, type) or not issubclass(one, base):
        return False
    return one.__module__.startswith("pvdm_lightning.") or (one is not base and not one.__name__.startswith("Base"))


# The nearest name


def _did_you_mean(name: str, names: Collection[str]) -> str:
    near = _nearest(name, names)
    return f" Did you mean {near}?" if near else ""


def _nearest(name: str, names: Collection[str]) -> str | None:
    """The name that was meant: its last part in other words (lr for learning_rate), elsewhere, or misspelled."""
    *_, last = name.lstrip("-").split(".")
    stem = name[: len(name) - len(last)]
    by_last: dict[str, list[str]] = {}
    for one in names:
        by_last.setdefault(one.lstrip("-").rsplit(".", 1)[-1], []).append(one)
    if last in by_last:
        order = [section.name for section in SECTIONS]
        sections = {one: one.lstrip("-").split(".")[0] for one in by_last[last]}
        return min(sections, key=lambda one: order.index(sections[one]) if sections[one] in order else len(order))
    beside = {key: one for key, ones in by_last.items() for one in ones if one[: len(one) - len(key)] == stem}
    for pool in (beside, {key: ones[0] for key, ones in by_last.items()}):
        initials = [one for key, one in pool.items() if "".join(word[:1] for word in key.split("_")) == last]
        near = difflib.get_close_matches(last, pool, n=1, cutoff=0.65)
        if found := [*initials, *(pool[key] for key in near)]:
            return found[0]
    whole = difflib.get_close_matches(name, names, n=1, cutoff=0.85)
    words = [one for key, one in beside.items() if last in key.split("_")]
    return next(iter([*words, *whole]), None)
