"""What jsonargparse says of options, in one line: the option, its value, what is wrong, the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from pvdm_lightning.errors import not_finite
from pvdm_lightning.foreign_config import argument_types
from pvdm_lightning.pipeline.public_classes import find_class

_TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "null"}


class OptionError(Exception):
    """A mistake in the options, said in one line."""


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


def said_shortly(text: str, options: Collection[str]) -> str:
    """A message of jsonargparse in one line.

    Args:
        text: As it is.
        options: All options of the command, such as ``--trainer.max_steps``.
    """
    text = " ".join(text.split())
    unknown = re.match(r"unrecognized arguments: (\S+)", text, re.IGNORECASE)
    if unknown:
        name = unknown[1].split("=")[0]
        return f"{name}: there is no such option.{_nearest(name, options)}"
    command = re.search(r"invalid choice: '([^']*)' \(choose from ([^)]*)\)", text)
    if command:
        names = [name.strip(" '") for name in command[2].split(",")]
        return f"{command[1]}: there is no such command.{_nearest(command[1], names)} Commands: {', '.join(names)}."
    keys = re.findall(r'Parser key "([^"]+)"', text)
    option = "--" + ".".join(keys)
    refused = re.search(r"Option '([^']+)' is not accepted", text)
    if refused and keys:
        classes = re.findall(r"given class_path '([^']+)'", text[: refused.start()])
        names = [f"{option}.{name}" for name in _arguments(classes[-1])] if classes else []
        return f"{option}.{refused[1]}: there is no such option.{_nearest(f'{option}.{refused[1]}', names)}"
    value = re.search(r"(?:Got value|Given value): (.*?)(?: Given value type| - |$)", text)
    if keys and value:
        given = value[1] if len(value[1]) <= 80 else value[1][:77] + "..."
        # Of a nested option the value is said as a record of the parser; its own line comes first.
        given = re.sub(r"^NestedArg\(.*", "", given).strip()
        return f"{option} {given}: {_expected(text)}".replace(" :", ":")
    return text if len(text) <= 300 else text[:297] + "..."


def _expected(text: str) -> str:
    literals = [choice for group in re.findall(r"typing\.Literal\[([^\]]*)\]", text) for choice in group.split(",")]
    choices = list(dict.fromkeys(choice.strip(" '\"") for choice in literals))
    if choices:
        return f"is not one of {', '.join(choices)}."
    if "import path" in text or "class_path" in text:
        return "is no class that is known here. Give its name, such as pvdm_lightning.VideoFolder."
    types = [_TYPES[name] for name in dict.fromkeys(re.findall(r"<class '(\w+)'>", text)) if name in _TYPES]
    return f"is not {' or '.join(types)}." if types else "cannot be read."


def _arguments(path: str) -> list[str]:
    try:
        return list(argument_types(find_class(path)))
    except Exception:  # a class of the user's own: there is nothing to suggest
        return []


def _nearest(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""
