"""What an evaluation says: figures with their protocol, as a table, as JSON and as scalars of a dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.evaluation.feature_networks import LeftOut
from pvdm_lightning.evaluation.options import USUAL_COUNT
from pvdm_lightning.evaluation.protocol import network_record, protocol_hash
from pvdm_lightning.metrics import FrozenNetwork
from pvdm_lightning.whole_file import whole_file


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: As people read it, e.g. ``FVD 16``.
        key: As programs read it, e.g. ``fvd_16``.
        value: The figure.
        meaning: Which direction is better, and units.
        real: Real videos it was measured on, if any.
        generated: Generated (or reconstructed) ones.
        spread: Standard deviation over splits, where there are splits.
        network: The network that measured, if one did.
    """

    name: str
    key: str
    value: float
    meaning: str
    real: int | None = None
    generated: int | None = None
    spread: float | None = None
    network: FrozenNetwork | None = None

    @property
    def tag(self) -> str:
        """Its name in dashboards: apart for each network."""
        return f"test/{self.key}" + (f"/{re.sub(r'[^a-zA-Z0-9.-]+', '_', self.network.name)}" if self.network else "")

    def small_count(self) -> str | None:
        """The warning that a figure of few videos needs, if it is a distribution's and they are few."""
        counts = [count for count in (self.real, self.generated) if count is not None]
        if self.network is None or not self.key.startswith(("fvd", "r_fvd", "is")) or min(counts) >= USUAL_COUNT:
            return None
        kind = self.name.split()[0]
        return f"{kind} of {min(counts):,} videos: not comparable with {kind} of {USUAL_COUNT:,}."


@dataclass
class Report:
    """All figures of an evaluation.

    Attributes:
        title: What was evaluated, for the table's head.
        protocol: Everything that shapes the figures, JSON-able.
        figures: Measured.
        left_out: Not measured, and why.
        notes: What a reader must know beside the figures.
    """

    title: str
    protocol: dict[str, Any]
    figures: list[Figure] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Plain text, columns aligned."""
        rows = [("figure", "value", "real", "generated", "network", "meaning")]
        rows += [
            (
                figure.name,
                f"{figure.value:.4g}" if abs(figure.value) < 1 else f"{figure.value:.2f}",
                _count(figure.real),
                _count(figure.generated),
                figure.network.name if figure.network else "-",
                figure.meaning + (f"; deviation over splits {figure.spread:.2f}" if figure.spread is not None else ""),
            )
            for figure in self.figures
        ]
        lines = [self.title, "", *_aligned(rows), ""]
        lines += [f"left out: {name}: {reason}" for name, reason in self.left_out]
        lines += [f"note: {note}" for note in self.all_notes()]
        return "\n".join(lines) + "\n"

    def all_notes(self) -> list[str]:
        """The notes, and a warning for each kind of figure that was measured on few videos."""
        small = (figure.small_count() for figure in self.figures)
        return [*self.notes, *dict.fromkeys(note for note in small if note)]

    def content(self) -> dict[str, Any]:
        """The report as plain values."""
        figures = [
            {
                "name": figure.name,
                "key": figure.key,
                "value": figure.value,
                **({"deviation_over_splits": figure.spread} if figure.spread is not None else {}),
                "meaning": figure.meaning,
                "real_videos": figure.real,
                "generated_videos": figure.generated,
                "network": network_record(figure.network) if figure.network else None,
            }
            for figure in self.figures
        ]
        left_out = [{"name": name, "reason": reason} for name, reason in self.left_out]
        return {"protocol": self.protocol, "figures": figures, "left_out": left_out, "notes": self.all_notes()}

    def scalars(self) -> Mapping[str, float]:
        """For loggers."""
        return {figure.tag: figure.value for figure in self.figures}

    def write(self, folder: Path, name: str) -> Path:
        """Write the JSON, one file for one protocol, whole or not at all; returns its path."""
        path = folder / f"{name}_{protocol_hash(self.protocol)}.json"
        write_json(self.content(), path)
        return path


def write_json(content: object, path: Path) -> None:
    """Write JSON, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = (1, 2, 3)  # columns set flush right
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
