"""FVD and Inception Score of videos of several lengths, by several networks, in one pass over the videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.lengths import Lengths, Selection
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.real_statistics import RealStatistics
from pvdm_lightning.evaluation.report import MeasuredMetric
from pvdm_lightning.metrics import FrechetVideoDistance, FrozenNetwork, VideoInceptionScore
from pvdm_lightning.metrics.c3d import FRAMES as INCEPTION_FRAMES

AT_ONCE = 4  # videos a network sees together: I3D's first activations of 128 frames alone take 0.4 GB a video

Clips = Callable[[int], Iterable[Tensor]]


class VideoDistances:
    """The metrics that compare generated with real videos.

    Args:
        lengths: What is measured.
        networks: By which networks.
        inception_splits: Splits of the Inception Score.
        device: Where the networks run.
        processes: That share the videos.
    """

    def __init__(
        self,
        lengths: Lengths,
        networks: FoundNetworks,
        inception_splits: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self.lengths, self.device, self.processes = lengths, device, processes
        self.fvd: list[tuple[Selection, FrozenNetwork, FrechetVideoDistance]] = [
            (one, network, FrechetVideoDistance(network, one.num_frames, one.frame_step).to(device))
            for one in lengths.selections
            for network in networks.video
            if one.num_frames >= network.min_frames
        ]
        self.scores: Sequence[VideoInceptionScore] = [
            VideoInceptionScore(network, inception_splits).to(device) for network in networks.c3d if lengths.inception
        ]

    def add_real(self, clips: Clips, protocol_of: Callable[[int], Mapping[str, Any]]) -> None:
        """Measure the real side, or take it from the disk where it was measured before.

        Args:
            clips: Given a length, batches of this process's real clips uint8 [B 3 T H W] of that length.
            protocol_of: Given a length, which real clips those are, over all processes.
        """
        for length in sorted({selection.length for selection, _, _ in self.fvd}):
            protocol = protocol_of(length)
            unknown = []
            for selection, network, metric in self.fvd:
                if selection.length == length:
                    kept = RealStatistics(protocol, selection, network, self.processes)
                    if not kept.give_to(metric):
                        unknown.append((kept, metric))
            if unknown:
                for batch in clips(length):
                    for videos in batch.split(AT_ONCE):
                        on_device = videos.to(self.device)
                        for _, metric in unknown:
                            metric.update(on_device, real=True)
            for kept, metric in unknown:
                kept.keep(metric)

    def add_generated(self, videos: Tensor, numbers: Tensor, length: int) -> None:
        """Add videos to the metrics of one length.

        Args:
            videos: uint8 [B 3 T H W], T at least `length`; their first frames are measured.
            numbers: The videos' numbers within the whole set, int64 [B].
            length: One of `Lengths.used`.
        """
        for some, their_numbers in zip(videos[:, :, :length].split(AT_ONCE), numbers.split(AT_ONCE)):
            on_device = some.to(self.device)
            for selection, _, metric in self.fvd:
                if selection.length == length:
                    metric.update(on_device, real=False)
            if length == self.lengths.inception:
                for score in self.scores:
                    score.update(on_device[:, :, :INCEPTION_FRAMES], their_numbers)

    def metrics(self) -> tuple[list[MeasuredMetric], list[SkippedMetric]]:
        """The metrics over all processes, and what could not be computed; all processes must call this."""
        metrics, skipped = [], []
        for selection, network, metric in self.fvd:
            real, generated = metric.real_statistics().count, metric.generated_statistics().count
            if min(real, generated) < 2:
                reason = f"{real} real and {generated} generated videos; a covariance needs 2 or more."
                skipped.append(SkippedMetric(f"{network.distance} {selection.frames} ({network.name})", reason))
                continue
            value, meaning = metric.compute().item(), "lower is better, 0 at best"
            name, key = selection.name(network), selection.key(network)
            metrics.append(MeasuredMetric(name, key, value, meaning, real, generated, network=network))
        for score in self.scores:
            with score.sync_context():
                per_split = score.count.clone()
            count = int(per_split.sum())
            if (per_split < 1).any():
                reason = f"{score.num_splits} splits need as many videos, there are {count}; ask for fewer splits."
                skipped.append(SkippedMetric(f"IS ({score.classifier.name})", reason))
                continue
            mean, std = score.compute()
            meaning = f"higher is better, {score.classifier.num_outputs} at most"
            metrics.append(MeasuredMetric("IS", "is", mean.item(), meaning, None, count, std.item(), score.classifier))
        return metrics, skipped
