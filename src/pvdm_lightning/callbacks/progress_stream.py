"""Where progress bars go: onto a terminal, or as lines into a log file."""

import sys
from typing import Any

REFRESH = 0.5
"""Seconds from one refresh to the next on a terminal: a GPU may be waited for in each."""
LINE_EVERY = 30.0
"""Seconds from one line to the next in a log file."""


def interval() -> float:
    """Seconds from one state of a bar to the next."""
    return REFRESH if sys.stderr.isatty() else LINE_EVERY


def stream() -> dict[str, Any]:
    """Arguments of tqdm."""
    common: dict[str, Any] = {"mininterval": interval(), "maxinterval": float("inf")}
    if sys.stderr.isatty():
        return {**common, "file": sys.stderr, "dynamic_ncols": True}
    return {**common, "file": _Lines(), "ncols": 120}


class _Lines:
    """A log file, or a pipe: each state of a bar is a line."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()
