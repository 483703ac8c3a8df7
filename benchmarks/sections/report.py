"""Writes what is known so far: gpu.json with every figure, gpu.md with a table a section."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sections.section import Section
from pvdm_lightning.atomic_write import atomic_write

HEAD = """\
# Measured on a GPU

{about}

Each section ran in its own process, one after another. Memory is the peak of PyTorch's allocator, in GiB (2^30 bytes).
MFU counts the model's forward and backward FLOPs, without those that gradient checkpointing repeats, and divides them
by the time and by the measured rate of a bf16 product of 8192 x 8192 matrices.
"""


@dataclass
class Outcome:
    """What a section has reported, and what became of it."""

    section: Section
    rows: list[dict[str, Any]]
    state: str
    seconds: float


@dataclass
class Report:
    """Collects outcomes and keeps both files up to date.

    Args:
        out: Folder of the files.
        about: A line about the run.
        settings: For the JSON.
    """

    out: Path
    about: str
    settings: dict[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def update(self, section: Section, rows: list[dict[str, Any]], state: str, seconds: float) -> None:
        """Take in what a section has reported so far, and write both files anew."""
        self.outcomes[section.name] = Outcome(section, rows, state, seconds)
        content = {
            **self.settings,
            "sections": {
                name: {"state": one.state, "seconds": round(one.seconds, 1), "rows": one.rows}
                for name, one in self.outcomes.items()
            },
        }
        with atomic_write(self.out / "gpu.json") as partial:
            partial.write_text(json.dumps(_without_nan(content), indent=1) + "\n", encoding="utf-8")
        with atomic_write(self.out / "gpu.md") as partial:
            partial.write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """All sections, a table for each set of columns."""
        parts = [HEAD.format(about=self.about)]
        for outcome in self.outcomes.values():
            parts.append(f"## {outcome.section.title}\n")
            parts += [_table(group) for group in _by_columns(outcome.rows)]
            took = f"{outcome.seconds:.0f} s"
            parts.append(f"_{outcome.state}, {took}_\n" if outcome.state != "done" else f"_{took}_\n")
        return "\n".join(parts)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _by_columns(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    return list(groups.values())


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """A figure with three significant digits; a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = 2 - math.floor(math.log10(abs(value))) if value else 0
        return f"{value:.{max(0, digits)}f}"
    return f"{value:.1e}"
