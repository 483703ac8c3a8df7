"""Configuration that comes with a file of unknown origin: plain values, checked against a constructor's signature."""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pvdm_lightning.escaping import one_line

LARGEST_SIZE = 2**16
"""Of a number that sizes a network; more than any network has, and little enough to be refused by its shapes."""
LARGEST_NUMBER = 2**53
LONGEST_LIST = 64
LONGEST_TEXT = 4096
_MODULE_PATH = re.compile(r"(\w+\.)+\w+", re.ASCII)
_LARGEST_OF = {"depth": 1024, "blocks": 1024, "timesteps": LARGEST_SIZE, "videos": 2**24}
_LARGEST_OF |= dict.fromkeys(("seed", "steps", "start"), 2**40)  # no memory follows from these


class ForeignConfigError(ValueError):
    """What is wrong with the configuration in a file, in a few words."""


class UnknownNameError(ForeignConfigError):
    """It names a class or an argument that this version does not have; a newer one may.

    Attributes:
        class_path: A class outside of this project that it names, which the user may trust; None if there is none.
    """

    class_path: str | None = None


def check_node(node: object, allowed: Collection[str], find: Callable[[str], type]) -> tuple[type, dict[str, Any]]:
    """The class and the arguments of a node ``{class_path, init_args}``.

    Args:
        node: As the file has it.
        allowed: The names that `class_path` may be, compared as a whole.
        find: Turns one of them into the class.

    Raises:
        ForeignConfigError: It names another class, or its arguments are not what the class takes.
    """
    if not isinstance(node, Mapping) or not set(node) <= {"class_path", "init_args", "dict_kwargs"}:
        raise ForeignConfigError("is no class_path with init_args")
    path = node.get("class_path")
    if not isinstance(path, str) or path not in allowed:
        unknown = UnknownNameError(f"names the class {_short(path)}, which is not one of this project")
        if isinstance(path, str) and not path.startswith("pvdm_lightning.") and _MODULE_PATH.fullmatch(path):
            unknown.class_path = path
        raise unknown
    arguments = node.get("init_args")
    if arguments is None:
        arguments = {}
    if node.get("dict_kwargs"):
        raise ForeignConfigError("has arguments beside init_args")
    cls = find(path)
    check_arguments(cls, arguments, allowed, find)
    return cls, dict(arguments)


def check_arguments(
    cls: type, arguments: object, allowed: Collection[str] = (), find: Callable[[str], type] | None = None
) -> None:
    """Raise `ForeignConfigError` unless these are plain values that the constructor of `cls` takes."""
    if not isinstance(arguments, Mapping):
        raise ForeignConfigError(f"gives {cls.__name__} no table of arguments")
    types_of = argument_types(cls)
    for name, value in arguments.items():
        if name not in types_of:
            raise UnknownNameError(f"gives an argument {_short(name)} to {cls.__name__}, which does not take it")
        if not _fits(value, types_of[name], str(name), allowed, find):
            raise ForeignConfigError(f"gives {name} of {cls.__name__} the value {_short(value)}")


MACHINE = ("batch_size", "val_batch_size", "num_workers", "num_threads", "prefetch_factor", "pin_memory", "devices")
"""Arguments that say what a machine is to spend, not what the data is."""


def without_machine(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a data module without those that cost the machine: they are never taken from a file."""
    return {key: value for key, value in arguments.items() if key not in MACHINE}


def described_data(data: object) -> dict[str, Any]:
    """What a file says of the data that a model was trained on, for people to read: texts and numbers.

    Unlike `check_node` it takes any class, of which nothing is built. What has another type is left out.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("class_path"), str):
        return {}
    arguments = data.get("init_args")
    plain = {
        str(key)[:LONGEST_TEXT]: list(value) if isinstance(value, tuple) else value
        for key, value in (arguments.items() if isinstance(arguments, Mapping) else ())
        if _is_plain(value)
        or (isinstance(value, list | tuple) and len(value) <= LONGEST_LIST and all(map(_is_plain, value)))
    }
    return {"class_path": data["class_path"][:LONGEST_TEXT], "init_args": plain}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool) or is_number(value) or _fits(value, str, "")


def argument_types(cls: type) -> dict[str, Any]:
    """Types of the arguments of a constructor; where it passes ``**kwargs`` on, those of its base classes, too."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        constructor = base.__init__  # type: ignore[misc]
        hints = get_type_hints(inspect.unwrap(constructor))
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
        if taker := vars(base).get("options_of"):
            return {**argument_types(taker), **found}
    return found


def default_arguments(cls: type) -> dict[str, Any]:
    """The arguments of a constructor that may be left out, with their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def _fits(
    value: object, hint: Any, name: str, allowed: Collection[str] = (), find: Callable[[str], type] | None = None
) -> bool:
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option, name, allowed, find) for option in options)
    if origin is Literal:
        return isinstance(value, str | int | None) and any(value == o and type(value) is type(o) for o in options)
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _largest(name)
    if hint is float:
        return is_number(value)
    if hint in (str, Path):
        return isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value
    if origin in (list, tuple, Sequence) and options:
        if not isinstance(value, list | tuple) or len(value) > LONGEST_LIST:
            return False
        if origin is tuple and Ellipsis not in options:
            return len(value) == len(options) and all(_fits(v, o, name) for v, o in zip(value, options))
        return all(_fits(item, options[0], name) for item in value)
    if origin in (dict, Mapping) and options:
        if not isinstance(value, Mapping) or len(value) > LONGEST_LIST:
            return False
        return all(_fits(key, options[0], name) and _fits(item, options[1], name) for key, item in value.items())
    if isinstance(hint, type) and is_dataclass(hint):
        # Whole: what a dataclass computes of its fields expects them all.
        of_fields = get_type_hints(hint)
        return (
            isinstance(value, Mapping)
            and set(value) == {field.name for field in fields(hint)}
            and all(_fits(item, of_fields[key], key) for key, item in value.items())
        )
    if isinstance(hint, type) and find is not None and isinstance(value, Mapping):
        return issubclass(check_node(value, allowed, find)[0], hint)
    return False


def is_number(value: object) -> bool:
    """Whether a value is a finite number that a float holds."""
    if isinstance(value, int):  # one of many digits fits into no float
        return not isinstance(value, bool) and abs(value) < LARGEST_NUMBER
    return isinstance(value, float) and math.isfinite(value)


def _largest(name: str) -> int:
    return next((largest for part, largest in _LARGEST_OF.items() if part in name), LARGEST_SIZE)


def _short(value: object) -> str:
    if isinstance(value, str | int | float | None) and not (isinstance(value, int) and abs(value) >= 2**64):
        return one_line(repr(value[:80]) if isinstance(value, str) else repr(value), 60)
    return f"of type {type(value).__name__}"
