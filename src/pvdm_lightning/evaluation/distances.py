"""Features of real and generated videos of several lengths, by several networks, and the distances between them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.evaluation import figures, real_features
from pvdm_lightning.evaluation.clip_options import Side
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.features import ClipFeatures, ClipId, FeatureParts
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.lengths import Lengths, Selection
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import network_record, protocol_hash
from pvdm_lightning.evaluation.report import FeatureFile, MeasuredMetric
from pvdm_lightning.metrics import FrozenNetwork
from pvdm_lightning.metrics.c3d import FRAMES as INCEPTION_FRAMES

AT_ONCE = 4  # videos a network sees together: I3D's first activations of 128 frames alone take 0.4 GB a video
FOLDER = "features"
"""Folder of the features, in that of the evaluation."""


class _Row(NamedTuple):
    """What a network measures: some frames of each video of a length."""

    network: FrozenNetwork
    selection: Selection
    is_classifier: bool


@dataclass
class _Pass:
    """A pass of networks over one side of one length.

    Attributes:
        rows: What is measured.
        count: Clips of the whole side.
        records: All that shapes the features of each row.
        parts: Where they go.
    """

    rows: list[_Row]
    count: int
    records: list[dict[str, Any]]
    parts: list[FeatureParts]


class VideoDistances:
    """Runs networks over real and generated videos, keeps their features and computes distances from them.

    A side of one length is measured between `begin` and `end`, which all processes call in the same order; further
    draws of it come one after the other.

    Args:
        lengths: What is measured.
        networks: By which networks.
        wanted: Which figures.
        folder: The evaluation's; features go into a folder inside. All processes see it.
        device: Where the networks run.
        processes: That share the videos.
        prefix: What names of distances begin with, such as ``R-`` for reconstructions.
    """

    def __init__(
        self,
        lengths: Lengths,
        networks: FoundNetworks,
        wanted: Figures,
        folder: Path,
        device: torch.device,
        processes: Processes,
        prefix: str = "",
    ) -> None:
        self.lengths, self.wanted, self.folder, self.device = lengths, wanted, folder, device
        self.processes, self.prefix = processes, prefix
        self.rows = [
            _Row(network, one, False)
            for one in lengths.selections
            for network in networks.video
            if one.num_frames >= network.min_frames
        ]
        if lengths.inception is not None:
            first = Selection(lengths.inception, INCEPTION_FRAMES)
            self.rows += [_Row(network, first, True) for network in networks.c3d]
        self.files: dict[tuple[Side, _Row], list[Path]] = {}
        self._pass: dict[tuple[Side, int], _Pass] = {}

    def begin(self, side: Side, length: int, protocol: Mapping[str, Any], use_cache: bool = True) -> bool:
        """Begin a draw of one side.

        Args:
            side: real or generated.
            length: One of `Lengths.used`.
            protocol: All that shapes the clips, as plain values; "count" says how many, over all processes.
            use_cache: Whether real features that were kept are used.

        Returns:
            Whether anything is to be measured; if not, its features are known, and neither `add` nor `end` is called.
        """
        rows = [row for row in self.rows if row.selection.length == length]
        rows = [row for row in rows if side == "generated" or not row.is_classifier]
        records = [self._record(side, row, protocol) for row in rows]
        known: list[str | None] = [None] * len(rows)
        if self.processes.is_first and side == "real" and use_cache:
            found = [real_features.load_cached(record, protocol["count"]) for record in records]
            known = [self._save(features) if features else None for features in found]
        known = self.processes.broadcast(known)
        for row, path in zip(rows, known):
            if path is not None:
                self.files.setdefault((side, row), []).append(Path(path))
        unknown = [place for place, path in enumerate(known) if path is None]
        rows, records = [rows[place] for place in unknown], [records[place] for place in unknown]
        if rows:
            # Under a temporary name, which the next command in the folder clears away if this one is killed.
            run = self.processes.broadcast(uuid.uuid4().hex[:12])
            parts = [
                FeatureParts(self._part(run, place, self.processes.rank), row.network.num_outputs)
                for place, row in enumerate(rows)
            ]
            self._pass[side, length] = _Pass(rows, int(protocol["count"]), records, parts)
        return bool(rows)

    def add(self, side: Side, length: int, videos: Tensor, numbers: Tensor) -> None:
        """Measure videos of this process.

        Args:
            side: real or generated.
            length: One of `Lengths.used`.
            videos: uint8, or float32 in 0..255, [B 3 T H W], T at least `length`; their first frames are measured.
            numbers: The clips' numbers within the whole side, int64 [B].
        """
        under_way = self._pass[side, length]
        for some, theirs in zip(videos[:, :, :length].split(AT_ONCE), numbers.split(AT_ONCE)):
            on_device = some.to(self.device)
            for row, parts in zip(under_way.rows, under_way.parts):
                step, needed = row.selection.frame_step, row.selection.span
                parts.add(row.network(on_device[:, :, :needed:step], unquantised=True), theirs)

    def end(self, side: Side, length: int, clips: Callable[[], Sequence[ClipId]]) -> None:
        """Put the features of all processes together; all must call this.

        Args:
            side: real or generated.
            length: One of `Lengths.used`.
            clips: Gives the clips of the whole side, by their numbers; the first process asks.
        """
        under_way = self._pass.pop((side, length))
        for parts in under_way.parts:
            parts.close()
        self.processes.barrier()
        if not self.processes.is_first:
            return
        listed = clips()
        for row, record, parts in zip(under_way.rows, under_way.records, under_way.parts):
            paths = [
                parts.path.with_name(parts.path.name.replace("-0.partial", f"-{rank}.partial", 1))
                for rank in range(self.processes.world_size)
            ]
            values, numbers = parts.merged(paths)
            features = ClipFeatures(values, [self._measured(listed[number], row) for number in numbers], record)
            self.files.setdefault((side, row), []).append(Path(self._save(features)))
            if side == "real":
                real_features.keep(features, under_way.count)
            for path in paths:
                path.unlink()

    def metrics(self) -> tuple[list[MeasuredMetric], list[SkippedMetric]]:
        """The metrics over all processes, and what could not be computed; the first process has them."""
        metrics: list[MeasuredMetric] = []
        skipped: list[SkippedMetric] = []
        if not self.processes.is_first:
            return metrics, skipped
        for row in self.rows:
            paths = {side: self.files.get((side, row), []) for side in ("real", "generated")}
            sides = {side: [ClipFeatures.load(path) for path in those] for side, those in paths.items()}
            record = network_record(row.network)
            if row.is_classifier:
                new, not_computed = figures.score(sides["generated"], record, self.wanted)
            else:
                new, not_computed = figures.distances(
                    sides["real"], sides["generated"], row.selection, record, self.wanted, self.device, self.prefix
                )
            files = {
                side: [
                    FeatureFile(path.relative_to(self.folder).as_posix(), features.list_hash)
                    for path, features in zip(paths[side], sides[side])
                ]
                for side in paths
                if paths[side]
            }
            metrics += [metric.with_features(files) for metric in new]
            skipped += not_computed
        return metrics, skipped

    def _record(self, side: Side, row: _Row, protocol: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "side": side,
            "values": "log-probabilities" if row.is_classifier else "features",
            "network": network_record(row.network),
            "length": row.selection.length,
            "measured_frames": row.selection.num_frames,
            "frame_step": row.selection.frame_step,
            "clips": dict(protocol),
        }

    def _measured(self, clip: ClipId, row: _Row) -> ClipId:
        """The frames of a clip that a row takes."""
        return clip._replace(stride=clip.stride * row.selection.frame_step, frames=row.selection.num_frames)

    def _save(self, features: ClipFeatures) -> str:
        record = features.record
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", str(record["network"]["name"])).strip("_")
        frames = Selection(record["length"], record["measured_frames"], record["frame_step"]).frames.replace(" ", "_")
        path = self.folder / FOLDER / f"{record['side']}_{frames}_{name}_{protocol_hash(record)}.safetensors"
        features.save(path)
        return str(path)

    def _part(self, run: str, place: int, rank: int) -> Path:
        return self.folder / f".{FOLDER}-{place}-{rank}.partial-{run}"
