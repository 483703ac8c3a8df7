"""What options take, in words: types, examples, classes, and the nearest name to one that is not known."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Collection
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser

from pvdm_lightning.cli.sections import SECTIONS
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, NETWORKS, find_class


def option_type(parser: ArgumentParser | None, key: str) -> tuple[Any, Any]:
    """Type and default of an option."""
    for action in parser._actions if parser is not None else ():
        if action.dest == key:
            hint = getattr(action, "_typehint", None) or (Literal[tuple(action.choices)] if action.choices else None)
            return hint, action.default
    return None, None


def types_of(owner: str) -> dict[str, Any]:
    """Types of a class's arguments; empty where they cannot be found out."""
    try:
        return argument_types(find_class(owner))
    except Exception:  # a class of another library, with names in its signature that are not imported
        return {}


def argument_type(owner: str, name: str) -> tuple[Any, Any]:
    """Type and default of an argument of a class."""
    hint = types_of(owner).get(name)
    if hint is None:
        return None, None
    for base in find_class(owner).__mro__:
        parameter = inspect.signature(base).parameters.get(name) if "__init__" in vars(base) else None
        if parameter is not None:
            return hint, None if parameter.default is parameter.empty else parameter.default
    return hint, None


def describe_option(parser: ArgumentParser | None, key: str) -> tuple[str, str]:
    """What an option takes, and an example; empty where they are not known."""
    hint, default = option_type(parser, key)
    return ("", "") if hint is None else (type_in_words(hint), sample_values(hint, default))


def describe_argument(owner: str, name: str) -> tuple[str, str]:
    """What an argument of a class takes, and an example; empty where they are not known."""
    hint, default = argument_type(owner, name)
    return ("", "") if hint is None else (type_in_words(hint), sample_values(hint, default))


def kinds_of(hint: Any) -> list[Any]:
    """The members of a union, without null."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [member for member in members if member is not NoneType]


_PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_PLURAL = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values"}
_SAMPLES = {int: "4", float: "0.5", bool: "true", str: "NAME", Path: "FILE"}


def type_in_words(hint: Any) -> str:
    """What a type takes: "a whole number or 2 whole numbers"."""
    kinds = kinds_of(hint)
    found = [f"one of {', '.join(choices)}"] if (choices := words_of(hint, depth=0)) else []
    for kind in kinds:
        inner, origin = get_args(kind), get_origin(kind)
        if origin is Literal or (kind is int and float in kinds) or (kind is str and Path in kinds):
            continue
        if origin is None:
            found.append(_PLAIN.get(kind, "a table" if is_dataclass(kind) else "a class"))
        elif several := words_of(inner[0]) if inner else []:
            found.append(f"one or more of {', '.join(several)}")
        elif origin is tuple and inner and Ellipsis not in inner:
            found.append(f"{len(inner)} {_PLURAL.get(inner[0], 'values')}")
        else:
            found.append("a table" if origin is dict else f"a list of {_PLURAL.get(inner[0], 'values')}")
    if hint is not None and NoneType in get_args(hint):
        found.append("null")
    return " or ".join(dict.fromkeys(found))


def words_of(hint: Any, depth: int = 1) -> list[str]:
    """All words that a type takes; of a list, its members'."""
    found: list[str] = []
    for kind in kinds_of(hint):
        if get_origin(kind) is Literal:
            found += map(str, get_args(kind))
        elif depth and get_args(kind):
            found += words_of(get_args(kind)[0], depth - 1)
    return list(dict.fromkeys(found))


def sample_values(hint: Any, default: Any) -> str:
    """Values of a type as one types them: "128 or 128,192"; empty if none can be made up."""
    found = words_of(hint)[:1]
    kinds = kinds_of(hint)
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


def integral(value: str) -> int:
    """The whole number that a text such as 1e5 means; raises `ValueError` if it means none."""
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def example_of(option: str, sample: str) -> str:
    """A sentence with an example; empty if there is none."""
    return f" Example: {option} {sample}." if sample else ""


def class_names_of(hint: Any) -> list[str]:
    """Names of the classes that a type takes: ours, and those of the package that its base class is in."""
    found = []
    for kind in kinds_of(hint):
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


def did_you_mean(name: str, names: Collection[str]) -> str:
    """A sentence with the nearest name; empty if none is near."""
    near = nearest(name, names)
    return f" Did you mean {near}?" if near else ""


def nearest(name: str, names: Collection[str]) -> str | None:
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
