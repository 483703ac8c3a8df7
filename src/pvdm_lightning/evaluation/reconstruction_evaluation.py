"""Stage one: how close reconstructions are to their clips, and how far from them as a set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.distances import AT_ONCE
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.lengths import Selection, choose_lengths
from pvdm_lightning.evaluation.options import SPLITS, Evaluation
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import clips_record, network_record, versions
from pvdm_lightning.evaluation.real_statistics import RealStatistics
from pvdm_lightning.evaluation.report import MeasuredMetric, Report
from pvdm_lightning.evaluation.trained_model import (
    TrainedModel,
    check_world_size,
    data_record,
    publish,
)
from pvdm_lightning.metrics import FrechetVideoDistance, MeanOverVideos, VideoLPIPS, VideoPSNR, VideoSSIM
from pvdm_lightning.training.locked_output import LockedOutput


class ReconstructionEvaluation(LockedOutput):
    """Adds R-FVD, PSNR, SSIM and LPIPS to `trainer.test` of an AutoencoderModule, and reports them.

    The module's test step gives the reconstructions; one clip per video, from its middle.

    Args:
        evaluation: What is measured.
        networks: By which networks.
        model: The checkpoint.
    """

    def __init__(self, evaluation: Evaluation, networks: FoundNetworks, model: TrainedModel) -> None:
        self.evaluation, self.networks, self.model = evaluation, networks, model
        self.skipped = list(networks.skipped)
        self.clips: dict[str, Any] = {}
        self.means: list[tuple[str, str, MeanOverVideos]] = []
        self.distances: list[tuple[RealStatistics, bool, FrechetVideoDistance]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        wanted, data = self.evaluation.num_videos, trainer.datamodule  # type: ignore[attr-defined]
        split = SPLITS[self.evaluation.split or "test"]
        data.select_test_clips(split, None)
        usable = len(data.test_dataset())
        if wanted is not None and wanted > usable:
            problem = f"the {self.evaluation.split or 'test'} split has {usable:,} videos that are long enough"
            raise InvalidArgumentError(
                "Evaluation.num_videos", wanted, problem, "Give at most those, or leave it out for all."
            )
        data.select_test_clips(split, wanted)
        check_world_size(trainer, wanted or usable)
        self.lock_output(trainer, Path(self.evaluation.dir), "Evaluation.dir")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        device, processes = pl_module.device, Processes.from_trainer(trainer)
        self.means = [
            ("PSNR", "dB, pixels in [0, 1], per video, then averaged; higher is better", VideoPSNR()),
            ("SSIM", "per frame, then averaged; higher is better, 1 at most", VideoSSIM()),
        ]
        if self.networks.lpips is not None:
            self.means.append(("LPIPS", "per frame, then averaged; lower is better", VideoLPIPS(self.networks.lpips)))
        self.means = [(name, meaning, metric.to(device)) for name, meaning, metric in self.means]
        dataset = trainer.datamodule.test_dataset()  # type: ignore[attr-defined]
        record = {**clips_record(dataset), "count": len(dataset)} if processes.is_first else None
        self.clips = processes.broadcast(record)
        lengths = choose_lengths([self.clips["frames"]], 1, inception_score=False, networks=self.networks.video)
        self.skipped += [SkippedMetric(f"R-{name}", reason) for name, reason in lengths.skipped]
        for selection in lengths.selections:
            for network in self.networks.video:
                if selection.num_frames < network.min_frames:
                    continue
                metric = FrechetVideoDistance(network, selection.num_frames).to(device)
                kept = RealStatistics(self.clips, selection, network, processes)
                # All real clips beside some of the reconstructions would be another metric than one of both.
                known = _is_unlimited(trainer) and kept.give_to(metric)
                self.distances.append((kept, known, metric))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for ours, theirs in zip(outputs["reconstruction"].split(AT_ONCE), batch["clip"].split(AT_ONCE)):
            for _, _, mean in self.means:
                mean.update(ours, theirs)
            for _, known, distance in self.distances:
                distance.update(ours, real=False)
                if not known:
                    distance.update(theirs, real=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = []
        for kept, known, distance in self.distances:
            if not known:
                kept.keep(distance)
            real, generated = distance.real_statistics().count, distance.generated_statistics().count
            network, frames = distance.network, Selection(distance.num_frames, distance.num_frames)
            if min(real, generated) < 2:
                reason = f"{generated} videos; a covariance needs 2 or more."
                name = f"R-{network.distance} {frames.frames} ({network.name})"
                self.skipped.append(SkippedMetric(name, reason))
                continue
            value, key = distance.compute().item(), f"r_{network.distance.lower()}"
            metric = MeasuredMetric(
                f"R-{frames.name(network)}",
                key,
                value,
                "lower is better, 0 at best",
                real=real,
                generated=generated,
                network=network,
            )
            metrics.append(metric)
        for name, meaning, mean in self.means:
            with mean.sync_context():
                count = int(mean.count)
            metric = MeasuredMetric(name, name.lower(), mean.compute().item(), meaning, real=count, generated=count)
            metrics.append(replace(metric, network=self.networks.lpips) if name == "LPIPS" else metric)
        split = self.evaluation.split or "test"
        report = Report(
            title=f"Reconstructions of {self.model.path.name}, step {self.model.global_step}, "
            f"{type(trainer.datamodule).__name__} {split} split",  # type: ignore[attr-defined]
            protocol={
                "stage": "one",
                "model": self.model.record(),
                "data": data_record(trainer.datamodule, split),  # type: ignore[attr-defined]
                "clips": self.clips,
                "count": metrics[-1].generated if metrics else 0,
                "precision": trainer.precision,
                "networks": [
                    network_record(network)
                    for network in (*self.networks.video, *([self.networks.lpips] if self.networks.lpips else ()))
                ],
                "versions": versions(),
            },
            metrics=metrics,
            skipped=self.skipped,
        )
        publish(report, trainer, Path(self.evaluation.dir), self.model)


def _is_unlimited(trainer: Trainer) -> bool:
    limit = trainer.limit_test_batches
    return isinstance(limit, float) and limit == 1.0  # an int is a number of batches
