"""Stage one: how close reconstructions are to their clips, and how far from them as a set."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from pvdm_lightning.data.clips.codecs import round_trip
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.chosen_networks import choose_networks
from pvdm_lightning.evaluation.clip_options import GeneratedClips
from pvdm_lightning.evaluation.distances import AT_ONCE, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.features import generated_clips
from pvdm_lightning.evaluation.lengths import choose_lengths
from pvdm_lightning.evaluation.measured_clips import MeasuredClips
from pvdm_lightning.evaluation.named_protocol import CUSTOM
from pvdm_lightning.evaluation.options import SPLITS, Evaluation, check_rounding
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import network_record, protocol_hash, versions
from pvdm_lightning.evaluation.report import MeasuredMetric, Report
from pvdm_lightning.evaluation.trained_model import (
    TrainedModel,
    check_world_size,
    data_record,
    publish,
)
from pvdm_lightning.metrics import MeanOverVideos, VideoLPIPS, VideoPSNR, VideoSSIM
from pvdm_lightning.pipeline.pixels import truncated_pixels
from pvdm_lightning.training.locked_output import LockedOutput


class ReconstructionEvaluation(LockedOutput):
    """Adds R-FVD, PSNR, SSIM and LPIPS to `trainer.test` of an AutoencoderModule, and reports them.

    The module's test step gives the reconstructions; by default of one clip per video, from its middle.

    Args:
        evaluation: What is measured.
        networks: By which networks.
        model: The checkpoint.
    """

    def __init__(self, evaluation: Evaluation, networks: FoundNetworks, model: TrainedModel) -> None:
        self.evaluation, self.model = evaluation, model
        self.networks = choose_networks(networks, evaluation.networks, evaluation.distances)
        self.skipped = list(self.networks.skipped)
        self.clips: dict[str, Any] = {}
        self.means: list[tuple[str, str, MeanOverVideos]] = []
        self.distances: VideoDistances | None = None
        self._measures_real = False
        self.real: MeasuredClips | None = None
        self._rounding = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        evaluation, data = self.evaluation, trainer.datamodule  # type: ignore[attr-defined]
        if evaluation.protocol != CUSTOM:
            problem = "is a protocol of generated videos, and these are reconstructions"
            remedy = "Leave it out, or give a checkpoint of stage two."
            raise InvalidArgumentError("Evaluation.protocol", evaluation.protocol, problem, remedy)
        check_rounding(evaluation)
        for name, usual in vars(GeneratedClips()).items():
            if (given := getattr(evaluation.generated, name)) != usual:
                problem = "is an option of samples, and these are reconstructions of the real clips"
                raise InvalidArgumentError(f"GeneratedClips.{name}", given, problem, "Leave it out.")
        split = evaluation.split or "test"
        frames, *resolution = data.clip_shape
        self.real = MeasuredClips.real(
            data.split_source(SPLITS[split]),
            Windows(frames, evaluation.real.stride or data.stride),
            tuple(resolution),
            evaluation.real,
            evaluation.preparation,
            reconstructions=True,
        )
        if not len(self.real):
            problem = f"has no video of {self.real.dataset.clips.needed} frames"
            raise InvalidArgumentError("Evaluation.split", split, problem, "Give another, or a smaller stride.")
        data.select_test_clips(self.real.dataset)
        check_world_size(trainer, len(self.real))
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
        assert self.real is not None
        self._rounding.enter_context(truncated_pixels(self.evaluation.preparation.rounding == "truncate"))
        self.clips = processes.broadcast(self.real.record() if processes.is_first else None)
        lengths = choose_lengths([self.clips["frames"]], 1, inception_score=False, networks=self.networks.video)
        self.skipped += [SkippedMetric(f"R-{name}", reason) for name, reason in lengths.skipped]
        if not lengths.selections:
            return
        wanted = self.evaluation.figures()
        folder = Path(self.evaluation.dir)
        self.distances = VideoDistances(lengths, self.networks, wanted, folder, device, processes, prefix="R-")
        # All real clips beside some of the reconstructions would be another metric than one of both.
        unlimited = _is_unlimited(trainer)
        self._measures_real = self.distances.begin("real", self.clips["frames"], self.clips, unlimited)
        self.distances.begin("generated", self.clips["frames"], self._reconstructions(trainer))

    def _reconstructions(self, trainer: Trainer) -> dict[str, Any]:
        """Everything that determines the reconstructions."""
        return {
            "reconstructions_of": self.clips,
            "model": self.model.record(),
            "precision": trainer.precision,
            "count": self.clips["count"],
        }

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        reconstructions, codec = outputs["reconstruction"], self.evaluation.preparation.codec
        if codec != "none":  # as the clips
            decoded = torch.stack([round_trip(clip, codec) for clip in reconstructions.cpu()])
            reconstructions = decoded.to(reconstructions.device)
        parts = (part.split(AT_ONCE) for part in (reconstructions, batch["clip"], batch["number"].cpu()))
        for ours, theirs, numbers in zip(*parts):
            for _, _, mean in self.means:
                mean.update(ours, theirs)
            if self.distances is not None:
                self.distances.add("generated", self.clips["frames"], ours, numbers)
                if self._measures_real:
                    self.distances.add("real", self.clips["frames"], theirs, numbers)

    def _measured(self, trainer: Trainer) -> list[MeasuredMetric]:
        if self.distances is None:
            return []
        real, frames = self.real, self.clips["frames"]
        assert real is not None
        if self._measures_real:
            self.distances.end("real", frames, real.clip_ids)
        made_by = protocol_hash(self._reconstructions(trainer))
        self.distances.end("generated", frames, lambda: generated_clips(range(len(real)), made_by, frames))
        metrics, skipped = self.distances.metrics()
        self.skipped += skipped
        return metrics

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._rounding.close()
        super().teardown(trainer, pl_module, stage)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = self._measured(trainer)
        for name, meaning, mean in self.means:
            with mean.sync_context():
                count = int(mean.count)
            metric = MeasuredMetric(name, name.lower(), mean.compute().item(), meaning, real=count, generated=count)
            metrics.append(
                replace(metric, network=network_record(self.networks.lpips))
                if self.networks.lpips and name == "LPIPS"
                else metric
            )
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
                "distances": list(self.evaluation.distances),
                "networks": [
                    network_record(network)
                    for network in (*self.networks.video, *([self.networks.lpips] if self.networks.lpips else ()))
                ],
                "versions": versions(),
            },
            metrics=metrics,
            skipped=self.skipped,
            notes=self.real.notes() if self.real is not None else [],
        )
        publish(report, trainer, Path(self.evaluation.dir), self.model)


def _is_unlimited(trainer: Trainer) -> bool:
    limit = trainer.limit_test_batches
    return isinstance(limit, float) and limit == 1.0  # an int is a number of batches
