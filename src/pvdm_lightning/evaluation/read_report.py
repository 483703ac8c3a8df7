"""Reports of evaluations, read again."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.foreign_files import read_json


@dataclass(frozen=True)
class ReadMetric:
    """A row of a report.

    Attributes:
        content: The row as it was written.
        folder: Where the report lies.
    """

    content: Mapping[str, Any]
    folder: Path

    def __post_init__(self) -> None:
        for number in (self.value, *(self.interval or ()), *self.repeats):
            if not math.isfinite(number):
                raise ValueError(f"{self.name} is {number}")

    @property
    def name(self) -> str:
        """Such as ``FVD 16``."""
        return str(self.content["name"])

    @property
    def value(self) -> float:
        """The metric."""
        return float(self.content["value"])

    @property
    def distance(self) -> str | None:
        """Name of the distance, if it is one."""
        return self.content.get("distance")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of resampled videos."""
        found = self.content.get("interval")
        return (float(found[0]), float(found[1])) if found else None

    @property
    def repeats(self) -> list[float]:
        """Values of repeated draws."""
        return [float(value) for value in self.content.get("repeats") or ()]

    @property
    def counts(self) -> dict[str, int | None]:
        """Videos of each side."""
        return {side: self.content.get(f"{side}_videos") for side in ("real", "generated")}

    @property
    def network(self) -> str:
        """What measured: its name; the rows of two files of one network have different names."""
        network = self.content.get("network")
        return str(network["name"]) if network else "-"

    @property
    def file_hash(self) -> str | None:
        """SHA-256 of the network's file."""
        network = self.content.get("network")
        return network.get("sha256") if network else None

    def clips_hash(self, side: str) -> str | None:
        """Hash of the list of clips of a side, in its first draw."""
        files = (self.content.get("features") or {}).get(side)
        return str(files[0]["clips_hash"]) if files else None

    def features(self, side: str) -> ClipFeatures | None:
        """The features of the first draw of a side, if they are there and are those of the report."""
        files = (self.content.get("features") or {}).get(side)
        if not files or not (path := self.folder / str(files[0]["file"])).is_file():
            return None
        found = ClipFeatures.load(path)
        return found if found.list_hash == self.clips_hash(side) and found.values.isfinite().all() else None

    def selection(self) -> str:
        """The frames that were measured, as rows name them; of rows of one selection the features are the same."""
        found = re.search(r"\d+( of \d+)?$", self.name.split(" (")[0])
        return found[0] if found else ""


@dataclass(frozen=True)
class ReadReport:
    """A report.

    Attributes:
        name: What it is called here.
        protocol: Everything that shaped its metrics.
        metrics: Its rows.
    """

    name: str
    protocol: Mapping[str, Any]
    metrics: list[ReadMetric] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path, argument: str, name: str | None = None) -> ReadReport:
        """Read a report, which may come from anybody.

        Raises:
            InvalidArgumentError: It is missing, or is none.
        """
        try:
            content = read_json(path)
            protocol = content["protocol"]
            if not isinstance(protocol, dict):
                raise ValueError("its protocol is no table")
            metrics = [ReadMetric(row, Path(path).parent) for row in content["metrics"]]
            for metric in metrics:
                _ = metric.name, metric.network, metric.file_hash, metric.counts, metric.clips_hash("real")
            return cls(name or str(path), protocol, metrics)
        except FileNotFoundError:
            problem = "there is no such file"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
            problem = f"is no report of an evaluation ({reason})"
        remedy = "Give a JSON file that pvdm test or pvdm evaluate has written."
        raise InvalidArgumentError(argument, path, problem, remedy)

    def find(self, name: str, network: str) -> ReadMetric | None:
        """The row of a metric by a network."""
        return next((one for one in self.metrics if (one.name, one.network) == (name, network)), None)


def settings(protocol: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """All plain values of a nested protocol, by their dotted names."""
    found: dict[str, Any] = {}
    items: Any = protocol.items() if isinstance(protocol, dict) else enumerate(protocol)
    for key, value in items:
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict | list) and value:
            found |= settings(value, name)  # type: ignore[arg-type]
        else:
            found[name] = value
    return found
