"""The report of an evaluation: metrics with their protocol, as a table, JSON and scalars."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.escaping import printable
from pvdm_lightning.evaluation.clip_options import USUAL_COUNT
from pvdm_lightning.evaluation.feature_networks import SkippedMetric
from pvdm_lightning.evaluation.protocol import protocol_hash


class FeatureFile(NamedTuple):
    """The features of one draw of a side.

    Attributes:
        file: From the folder of the report.
        clips_hash: Hash of the list of clips.
    """

    file: str
    clips_hash: str


@dataclass(frozen=True)
class MeasuredMetric:
    """One measured value.

    Attributes:
        name: As people read it, e.g. ``FVD 16``.
        key: As programs read it, e.g. ``fvd_16``.
        value: The metric; the mean over repeated draws, where there are several.
        meaning: Which direction is better, and units.
        real: Real videos it was measured on, if any.
        generated: Generated (or reconstructed) ones.
        spread: Standard deviation over splits, where there are splits.
        network: Record of the network that measured, if one did.
        distance: Name of the distance, if it is one.
        interval: Where 95 % of resampled values would lie, see `figures`.
        repeats: The values of repeated draws.
        features: What it was computed from, for each side.
        sides: The two values that a ratio is of, where it is one.
    """

    name: str
    key: str
    value: float
    meaning: str
    real: int | None = None
    generated: int | None = None
    spread: float | None = None
    network: Mapping[str, Any] | None = None
    distance: str | None = None
    interval: tuple[float, float] | None = None
    repeats: Sequence[float] = ()
    features: Mapping[str, Sequence[FeatureFile]] = field(default_factory=dict)
    sides: Mapping[str, float] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """Its name in dashboards: apart for each network."""
        name = re.sub(r"[^a-zA-Z0-9.-]+", "_", str(self.network["name"])) if self.network else ""
        return f"test/{self.key}" + (f"/{name}" if name else "")

    def with_features(self, features: Mapping[str, Sequence[FeatureFile]]) -> MeasuredMetric:
        """The metric with what it was computed from."""
        return replace(self, features=features)

    def content(self) -> dict[str, Any]:
        """The metric as plain values."""
        files = {side: [one._asdict() for one in those] for side, those in self.features.items()}
        where_there_are_some = {
            "std_over_splits": self.spread,
            "distance": self.distance,
            "sides": dict(self.sides) or None,
            "interval": list(self.interval) if self.interval else None,
            "repeats": list(self.repeats) or None,
            "std_over_repeats": stdev(self.repeats) if self.repeats else None,
            "features": files or None,
        }
        return {
            "name": self.name,
            "key": self.key,
            "value": self.value,
            **{name: value for name, value in where_there_are_some.items() if value is not None},
            "meaning": self.meaning,
            "real_videos": self.real,
            "generated_videos": self.generated,
            "network": dict(self.network) if self.network else None,
        }

    @property
    def is_distribution(self) -> bool:
        """Whether it compares distributions of videos: a distance of features, or an Inception Score."""
        return self.network is not None and (self.distance is not None or self.key == "is")

    def small_count(self) -> str | None:
        """The warning that a metric of few videos needs, if it is a distribution's and they are few."""
        counts = [count for count in (self.real, self.generated) if count is not None]
        if not self.is_distribution or min(counts) >= USUAL_COUNT:
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
        details: What the metrics are made of, such as values of each video, JSON-able; in the JSON alone.
        named: The published protocol that this is, or what differs from it, see `NamedProtocol.name_of`.
    """

    title: str
    protocol: dict[str, Any]
    metrics: list[MeasuredMetric] = field(default_factory=list)
    skipped: list[SkippedMetric] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    named: str = ""

    def table(self) -> str:
        """Plain text, columns aligned."""
        rows: list[tuple[str, ...]] = [("metric", "value", "95 %", "real", "generated", "network", "meaning")]
        rows += [
            (
                metric.name,
                number(metric.value),
                "..".join(map(number, metric.interval)) if metric.interval else "-",
                _count(metric.real),
                _count(metric.generated),
                str(metric.network["name"]) if metric.network else "-",
                metric.meaning
                + (f"; std over splits {metric.spread:.2f}" if metric.spread is not None else "")
                + (f"; std over {len(metric.repeats)} draws {number(stdev(metric.repeats))}" if metric.repeats else ""),
            )
            for metric in self.metrics
        ]
        if all(metric.interval is None for metric in self.metrics):
            rows = [(*row[:2], *row[3:]) for row in rows]
        # Names of files are in all of these.
        lines = [printable(self.title), *([printable(f"protocol: {self.named}")] if self.named else []), ""]
        lines += [*_aligned(rows), ""]
        lines += [printable(f"skipped: {name}: {reason}") for name, reason in self.skipped]
        lines += [printable(f"note: {note}") for note in self.all_notes()]
        return "\n".join(lines) + "\n"

    def all_notes(self) -> list[str]:
        """The notes, and a warning for each kind of metric that was measured on few videos."""
        small = (metric.small_count() for metric in self.metrics)
        return [*self.notes, *dict.fromkeys(note for note in small if note)]

    def content(self) -> dict[str, Any]:
        """The report as plain values."""
        metrics = [metric.content() for metric in self.metrics]
        skipped = [{"name": name, "reason": reason} for name, reason in self.skipped]
        named = {"protocol_name": self.named} if self.named else {}
        measured = {"metrics": metrics, "skipped": skipped, "notes": self.all_notes()}
        details = {"details": self.details} if self.details else {}
        return {**named, "protocol": self.protocol, **measured, **details}

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


def number(value: float) -> str:
    """A metric as people read it."""
    return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = range(1, len(rows[0]) - 2)  # columns set flush right
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
