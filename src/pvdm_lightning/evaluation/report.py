"""The report of an evaluation: metrics with their protocol, as a table, JSON and scalars."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.feature_networks import SkippedMetric
from pvdm_lightning.evaluation.options import USUAL_COUNT
from pvdm_lightning.evaluation.protocol import network_record, protocol_hash
from pvdm_lightning.metrics import FrozenNetwork


@dataclass(frozen=True)
class MeasuredMetric:
    """One measured value.

    Attributes:
        name: As people read it, e.g. ``FVD 16``.
        key: As programs read it, e.g. ``fvd_16``.
        value: The metric.
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
        """The warning that a metric of few videos needs, if it is a distribution's and they are few."""
        counts = [count for count in (self.real, self.generated) if count is not None]
        if (
            self.network is None
            or not self.key.startswith(("fvd", "r_fvd", "frechet", "r_frechet", "is"))
            or min(counts) >= USUAL_COUNT
        ):
            return None
        kind = self.name.split()[0]
        return f"{kind} of {min(counts):,} videos: not comparable with {kind} of {USUAL_COUNT:,}."


@dataclass
class Report:
    """All metrics of an evaluation.

    Attributes:
        title: What was evaluated, for the table's head.
        protocol: Everything that shapes the metrics, JSON-able.
        metrics: Measured.
        skipped: Not measured, and why.
        notes: What a reader must know beside the metrics.
    """

    title: str
    protocol: dict[str, Any]
    metrics: list[MeasuredMetric] = field(default_factory=list)
    skipped: list[SkippedMetric] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Plain text, columns aligned."""
        rows = [("metric", "value", "real", "generated", "network", "meaning")]
        rows += [
            (
                metric.name,
                f"{metric.value:.4g}" if abs(metric.value) < 1 else f"{metric.value:.2f}",
                _count(metric.real),
                _count(metric.generated),
                metric.network.name if metric.network else "-",
                metric.meaning + (f"; std over splits {metric.spread:.2f}" if metric.spread is not None else ""),
            )
            for metric in self.metrics
        ]
        # Names of files are in all of these.
        lines = [printable(self.title), "", *_aligned(rows), ""]
        lines += [printable(f"skipped: {name}: {reason}") for name, reason in self.skipped]
        lines += [printable(f"note: {note}") for note in self.all_notes()]
        return "\n".join(lines) + "\n"

    def all_notes(self) -> list[str]:
        """The notes, and a warning for each kind of metric that was measured on few videos."""
        small = (metric.small_count() for metric in self.metrics)
        return [*self.notes, *dict.fromkeys(note for note in small if note)]

    def content(self) -> dict[str, Any]:
        """The report as plain values."""
        metrics = [
            {
                "name": metric.name,
                "key": metric.key,
                "value": metric.value,
                **({"std_over_splits": metric.spread} if metric.spread is not None else {}),
                "meaning": metric.meaning,
                "real_videos": metric.real,
                "generated_videos": metric.generated,
                "network": network_record(metric.network) if metric.network else None,
            }
            for metric in self.metrics
        ]
        skipped = [{"name": name, "reason": reason} for name, reason in self.skipped]
        return {"protocol": self.protocol, "metrics": metrics, "skipped": skipped, "notes": self.all_notes()}

    def scalars(self) -> Mapping[str, float]:
        """For loggers."""
        return {metric.tag: metric.value for metric in self.metrics}

    def write(self, folder: Path, name: str) -> Path:
        """Write the JSON atomically, one file per protocol; returns its path."""
        path = folder / f"{name}_{protocol_hash(self.protocol)}.json"
        write_json(self.content(), path)
        return path


def write_json(content: object, path: Path) -> None:
    """Write JSON, whole or not at all."""
    with atomic_write(path) as partial:
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
