"""A table of figures with intervals that is printed row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.timing import say
from benchmarks.yardstick.summary import Interval


class Table:
    """Prints rows of figures beneath the names of their columns."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Interval]] = {}

    def add(self, name: str, row: Mapping[str, Interval]) -> None:
        """Print a row."""
        if not self.rows:
            say(f"\n{'':20s}" + "".join(f"{column:>20s}" for column in row) + "\n")
        self.rows[name] = row
        say(f"{name:20s}" + "".join(f"{_printed(figure):>20s}" for figure in row.values()) + "\n")


def _printed(figure: Interval) -> str:
    value, low, high = figure
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} ({low:.2f}-{high:.2f})"
