"""`--frames 16,128` and `--output.formats mp4` where the parser wants `[16,128]` and `[mp4]`."""

import re

ALWAYS_LISTS = ("--evaluation.frames", "--output.formats", "--fetch")
"""Options that are lists of one value, too."""
MAYBE_LISTS = ("resolution", "betas", "channel_multipliers", "attention_levels", "devices")
"""Last names of options that take one value or several."""


def with_comma_lists(args: list[str]) -> list[str]:
    """Put brackets around lists that are given with commas alone."""
    found = list(args)
    lists = (*ALWAYS_LISTS, "--frames") if args[:1] == ["evaluate"] else ALWAYS_LISTS
    for i, arg in enumerate(args):
        option, equals, value = arg.partition("=")
        if option.startswith("--") and equals:
            found[i] = f"{option}={_bracketed(option, value, lists)}"
        elif option.startswith("--") and i + 1 < len(args):
            found[i + 1] = _bracketed(option, args[i + 1], lists)
    return found


def _bracketed(option: str, value: str, lists: tuple[str, ...]) -> str:
    several = re.fullmatch(r"[\w.-]+(,[\w.-]+)+", value)
    one = option in lists and re.fullmatch(r"[\w.-]+", value) and value != "null"
    is_list = option in lists or option.rsplit(".", 1)[-1] in MAYBE_LISTS
    return f"[{value}]" if one or (is_list and several) else value
