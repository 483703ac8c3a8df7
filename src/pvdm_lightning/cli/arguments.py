"""The words of a command line, and what a shell would have made of their values."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

logger = logging.getLogger(__name__)

ALWAYS_LISTS = (
    *("--evaluation.frames", "--evaluation.distances", "--evaluation.networks"),
    *("--output.formats", "--fetch"),
)
"""Options that are lists of one value, too."""
LISTS_OF_TEXTS = ("--sampling.class_names", "--sampling.from_image")
"""The same of texts that may hold anything, such as paths; with brackets or quotes they are YAML."""
MAYBE_LISTS = ("resolution", "betas", "channel_multipliers", "attention_levels", "devices", "guidance_interval")
"""Last names of options that take one value or several."""
FORMER_NAMES = {
    "evaluate": {
        "--out": ("--evaluation.dir",),
        "--frames": ("--evaluation.frames",),
        "--frame_step": ("--evaluation.frame_step",),
        "--num_videos": ("--evaluation.real.num", "--evaluation.generated.num"),
        "--real_start": ("--evaluation.real.choice",),
        "--real_stride": ("--evaluation.real.stride",),
        "--inception_splits": ("--evaluation.inception_splits",),
        "--seed": ("--evaluation.real.seed",),
    }
}
"""Options of a command by the names that they once had, which scripts may use: what they are now."""


def option_values(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value, which stands after it or after its equals sign."""
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        if equals:
            yield option, value
        elif number + 1 < len(words):
            yield option, words[number + 1]


def with_values(words: Sequence[str], replace: Callable[[str, str], str]) -> list[str]:
    """The words with `replace(option, value)` for each value."""
    found = list(words)
    for number, word in enumerate(words):
        option, equals, value = word.partition("=")
        if not option.startswith("-"):
            continue
        if equals:
            found[number] = f"{option}={replace(option, value)}"
        elif number + 1 < len(words):
            found[number + 1] = replace(option, words[number + 1])
    return found


def with_present_names(command: str, words: Sequence[str]) -> list[str]:
    """The words with options under the names that they have now, see `FORMER_NAMES`; each is said."""
    former, found = FORMER_NAMES.get(command, {}), list[str]()
    remaining = iter(words)
    for word in remaining:
        option, equals, value = word.partition("=")
        names = former.get(option, ())
        if names:
            logger.warning("%s is now %s", option, " and ".join(names))
            value = value if equals else next(remaining, "")
        found += [part for name in names for part in (name, value)] or [word]
    return found


def without_option(words: Sequence[str], option: str) -> tuple[list[str], list[str]]:
    """Take an option out: (the other words, its values)."""
    others: list[str] = []
    values: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == option:
            values.append(next(remaining, ""))
        elif word.startswith(f"{option}="):
            values.append(word.removeprefix(f"{option}="))
        else:
            others.append(word)
    return others, values


def with_comma_lists(words: Sequence[str]) -> list[str]:
    """Brackets around lists that are given with commas alone: `--evaluation.frames 16,128` for `[16,128]`."""
    return with_values(words, _bracketed)


def with_word_lists(command: str, words: Sequence[str]) -> list[str]:
    """Lists that are given word by word: `compare a.json b.json`, and `evaluate --features a b`."""
    options = {"compare": ("--reports", "--a", "--b"), "evaluate": ("--features",)}.get(command, ())
    found: list[str] = []
    listed: dict[str, list[str]] = {}
    words = [options[0], *words] if command == "compare" and words and not words[0].startswith("-") else words
    option = ""
    for word in words:
        if word.startswith("-"):
            option = word if word in options else ""
            found += [] if option else [word]
        elif option and not word.startswith("["):
            listed.setdefault(option, []).append(word)
        else:
            found += [option, word] if option else [word]
            option = ""
    for option, those in listed.items():
        found += [option, json.dumps(those, ensure_ascii=False)]
    return found


def _bracketed(option: str, value: str) -> str:
    if not option.startswith("--"):
        return value
    if option in LISTS_OF_TEXTS:
        is_yaml = value == "null" or value[:1] in ("[", '"', "'")
        return value if is_yaml else json.dumps(value.split(","), ensure_ascii=False)
    several = re.fullmatch(r"[\w.-]+(,[\w.-]+)+", value)
    one = option in ALWAYS_LISTS and re.fullmatch(r"[\w.][\w.-]*", value) and value != "null"
    is_list = option in ALWAYS_LISTS or option.rsplit(".", 1)[-1] in MAYBE_LISTS
    return f"[{value}]" if one or (is_list and several) else value


def expand(value: str) -> str:
    """Replace ``~``, ``~user``, ``$HOME`` and the like at the start of a value.

    A shell does so for `--option ~/x`, not for `--option=~/x`, and a YAML file has no shell.
    """
    if re.match(r"(~[\w.-]*|\$\w+|\$\{\w+\})(/|$)", value):
        return os.path.expanduser(os.path.expandvars(value))  # noqa: PTH111
    return value


def expand_paths(node: Any) -> None:
    """`expand` each text in a parsed configuration, in place."""
    items = vars(node).items() if isinstance(node, Namespace) else node.items() if isinstance(node, dict) else ()
    places = enumerate(node) if isinstance(node, list) else list(items)
    for key, value in places:
        if isinstance(value, str):
            node[key] = expand(value)
        elif type(value) is type(Path()):
            node[key] = Path(expand(str(value)))
        else:
            expand_paths(value)
