"""Figures from files of features that earlier evaluations have left: no video and no network is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation import figures
from pvdm_lightning.evaluation.feature_networks import SkippedMetric
from pvdm_lightning.evaluation.features import ClipFeatures
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.lengths import Selection
from pvdm_lightning.evaluation.protocol import versions
from pvdm_lightning.evaluation.report import FeatureFile, Report


def measure_features(features: Sequence[str], wanted: Figures, folder: Path, device: torch.device) -> Report:
    """Distances between two files of features, or the Inception Score of one file of log-probabilities.

    Args:
        features: Files of the real and the generated side; or one file of a classifier's.
        wanted: Which figures.
        folder: The report's, from which it names the files.
        device: Where to compute.

    Raises:
        InvalidArgumentError: A file is missing or is none, or the two do not belong together.
    """
    paths, argument = features, "measure_features.features"
    sides = [ClipFeatures.load(path, argument) for path in paths]
    records = [_read_record(path, side, argument) for path, side in zip(paths, sides)]
    selection, network, _ = records[0]
    kinds = [kind for _, _, kind in records]
    if kinds not in (["features", "features"], ["log-probabilities"]):
        problem = f"are files of {' and '.join(kinds) or 'nothing'}"
        remedy = "Give two of features, first the real one, or one of log-probabilities."
        raise InvalidArgumentError(argument, " ".join(paths), problem, remedy)
    if any(other != records[0] for other in records[1:]):
        what = " | ".join(
            f"{one['name']} (SHA-256 {str(one['sha256'])[:12]}), {frames.frames} frames" for frames, one, _ in records
        )
        problem = f"were measured by other networks or of other frames: {what}"
        raise InvalidArgumentError(argument, " ".join(paths), problem, "Give files of one network and length.")
    if len(sides) == 2:
        metrics, skipped = figures.distances(sides[:1], sides[1:], selection, network, wanted, device)
    else:
        metrics, skipped = figures.score(sides, network, wanted)
    if not metrics and not skipped:
        reason = f"features of {network['name']} do not give {', '.join(wanted.distances) or 'it'}."
        skipped = [SkippedMetric("distances", reason)]
    names = figures.SIDES if len(sides) == 2 else figures.SIDES[1:]
    files = {
        name: [FeatureFile(Path(os.path.relpath(path, folder)).as_posix(), side.list_hash)]
        for name, path, side in zip(names, paths, sides)
    }
    notes = [
        f"{path} has features of {side.record['side']} videos."
        for name, path, side in zip(names, paths, sides)
        if side.record.get("side") not in (None, name)
    ]
    protocol: dict[str, Any] = {name: {**side.record, "count": len(side)} for name, side in zip(names, sides)}
    return Report(
        title=f"Features of {paths[-1]}" + (f" against those of {paths[0]}" if len(paths) > 1 else ""),
        protocol={"features": protocol, "distances": list(wanted.distances), "versions": versions()},
        metrics=[metric.with_features(files) for metric in metrics],
        skipped=skipped,
        notes=notes,
    )


def _read_record(path: str, features: ClipFeatures, argument: str) -> tuple[Selection, dict[str, Any], str]:
    """What features are of, by the record in their file: frames, network and kind."""
    record = features.record
    try:
        selection = Selection(*(int(record[name]) for name in ("length", "measured_frames", "frame_step")))
        network = {name: record["network"][name] for name in ("name", "file", "sha256")}
        return selection, network, str(record["values"])
    except (KeyError, TypeError, ValueError) as error:
        problem = f"does not say what it was measured with ({type(error).__name__}: {error})"
        raise InvalidArgumentError(argument, path, problem, "Give a file that an evaluation has written.") from None
