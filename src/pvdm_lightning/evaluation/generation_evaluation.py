"""Stage two: how far generated videos are from real ones, at several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.distances import AT_ONCE, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.features import ClipId, file_clips, generated_clips
from pvdm_lightning.evaluation.figures import Figures
from pvdm_lightning.evaluation.generated_videos import GeneratedVideos
from pvdm_lightning.evaluation.lengths import Lengths, choose_lengths
from pvdm_lightning.evaluation.options import SPLITS, USUAL_COUNT, Evaluation
from pvdm_lightning.evaluation.processes import Processes
from pvdm_lightning.evaluation.protocol import clips_record, network_record, protocol_hash, versions
from pvdm_lightning.evaluation.report import MeasuredMetric, Report
from pvdm_lightning.evaluation.trained_model import (
    TrainedModel,
    check_world_size,
    data_record,
    publish,
)
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.training import LatentDiffusionModule
from pvdm_lightning.training.locked_output import LockedOutput

CLIPS_OF_A_LONG_VIDEO = 8  # 128 frames in the paper, whose clips have 16


class GenerationEvaluation(LockedOutput):
    """Adds FVD and the Inception Score to `trainer.test` of a LatentDiffusionModule, and reports them.

    Videos are generated once, at the longest length; their first frames are the shorter videos, which are the same
    draws. They stay on disk, so that an interrupted evaluation, or one with more videos, continues.

    Args:
        evaluation: What is measured.
        sampling: How videos are sampled; count and length follow `evaluation`.
        networks: By which networks.
        model: The checkpoint.
    """

    def __init__(
        self, evaluation: Evaluation, sampling: Sampling, networks: FoundNetworks, model: TrainedModel
    ) -> None:
        self.evaluation, self.sampling, self.networks, self.model = evaluation, sampling, networks, model
        self.skipped = list(networks.skipped)
        self.count = evaluation.num_videos or USUAL_COUNT
        self.split = evaluation.split or "train"
        self.lengths = Lengths([], None, [])
        self.videos: list[tuple[Sampling, GeneratedVideos]] = []  # one for each draw
        self._clips: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._progress = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, LatentDiffusionModule)
        self._progress = trainer.progress_bar_callback is not None and trainer.is_global_zero
        data = trainer.datamodule  # type: ignore[attr-defined]
        check_world_size(trainer, len(data.test_dataset()))
        self._choose_lengths(data, pl_module.clip_shape[0])
        self.lock_output(trainer, Path(self.evaluation.dir), "Evaluation.dir")
        if not self.lengths.used:
            return
        self.sampling = replace(self.sampling, num_videos=self.count, num_frames=self.lengths.used[-1])
        self.sampling.samplers(pl_module.schedule)
        self.sampling.check_memory(pl_module.clip_shape)
        for draw in range(self._draws("generation")):
            sampling = replace(self.sampling, seed=self.sampling.seed + draw)
            videos = GeneratedVideos(Path(self.evaluation.dir), self._generation(trainer, pl_module, sampling))
            self.videos.append((sampling, videos))
            if trainer.is_global_zero:
                _, height, width = pl_module.clip_shape
                shape = (self.lengths.used[-1], height, width)
                videos.prepare(len(videos.missing(self.count)), shape)

    def _draws(self, what: str) -> int:
        return self.evaluation.repeats if self.evaluation.repeat_over in (what, "both") else 1

    def _choose_lengths(self, data: Any, frames: int) -> None:
        """Take the lengths asked for; by default one clip, and eight clips where real videos are that long."""
        wanted = self.evaluation.frames or [frames, CLIPS_OF_A_LONG_VIDEO * frames]
        measured = []
        for length in sorted(set(wanted)):
            dataset = data.reference_dataset(SPLITS[self.split], length)
            usable, longest = len(dataset), int(dataset.source.lengths.max(initial=0))
            if usable:
                measured.append(length)
                continue
            problem = f"no {self.split} video has {dataset.windows.clip_span} frames, the longest one has {longest}"
            if self.evaluation.frames is not None:
                raise InvalidArgumentError("Evaluation.frames", wanted, problem, f"Leave {length} out.")
            self.skipped.append(SkippedMetric(f"FVD {length}", f"{problem}."))
        if measured and (self.networks.video or self.networks.c3d):
            wants_score = bool(self.networks.c3d and self.evaluation.inception_splits)
            self.lengths = choose_lengths(measured, self.evaluation.frame_step, wants_score, self.networks.video)
            self.skipped += self.lengths.skipped
        if not self.lengths.used:
            self._notes.append("no video was generated, as nothing could measure it.")

    def _generation(self, trainer: Trainer, module: LatentDiffusionModule, sampling: Sampling) -> dict[str, Any]:
        """Everything that determines a generated video, except its number."""
        first, later = sampling.steps(module.schedule)
        return {
            "model": self.model.record(),
            "ema": {"decay": module.ema.decay},
            "sampler": sampling.sampler,
            "steps_first_clip": first,
            "steps_later_clips": later,
            "eta": sampling.eta if sampling.sampler == "ddim" else None,
            "guidance_scale": sampling.guidance_scale,
            **sampling.further_guidance(),
            **module.pipeline.autoguidance_record(sampling),
            **conditions_record(sampling, module.denoiser, module.clip_shape[0]),
            "seed": sampling.seed,
            "frames": sampling.num_frames,
            "precision": trainer.precision,
        }

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, LatentDiffusionModule)
        meaning = (
            f"error of the {pl_module.prediction_type} on test clips; lower is better, between checkpoints of one model"
        )
        metrics = [
            MeasuredMetric(
                name, key, float(trainer.callback_metrics[f"test/{key}"]), meaning, real=pl_module.num_evaluated[key]
            )
            for name, key in (
                ("loss", "loss"),
                ("loss, next clip", "loss_next_clip"),
                *((f"loss, given {part}", f"loss_{part}") for part in pl_module.condition_probabilities),
            )
            if f"test/{key}" in trainer.callback_metrics
        ]
        processes = Processes.from_trainer(trainer)
        for sampling, videos in self.videos:
            with trainer.precision_plugin.test_step_context():
                self._generate(sampling, videos, pl_module, processes)
        if self.videos:
            metrics = self._measure(trainer, pl_module, processes) + metrics
        publish(self._report(metrics, trainer, pl_module), trainer, Path(self.evaluation.dir), self.model)

    def _generate(
        self, sampling: Sampling, videos: GeneratedVideos, module: LatentDiffusionModule, processes: Processes
    ) -> None:
        missing = processes.broadcast(videos.missing(self.count) if processes.is_first else None)
        mine = processes.share(missing)
        batches = [mine[i : i + sampling.batch_size] for i in range(0, len(mine), sampling.batch_size)]
        steps = module.pipeline.num_steps(sampling)
        name = f"generating {len(missing):,} of {self.count:,} videos"
        with tqdm(total=len(batches) * steps, desc=name, unit="step", disable=not self._progress) as bar:
            for numbers in batches:
                generated = module.pipeline.generate(numbers, sampling, on_step=lambda *_: bar.update())
                for number, video in zip(numbers, generated):
                    videos.write(number, video)
        module.pipeline.release()
        processes.barrier()

    def _measure(self, trainer: Trainer, module: LatentDiffusionModule, processes: Processes) -> list[MeasuredMetric]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        wanted = Figures(self.evaluation.distances, self.evaluation.bootstrap, self.evaluation.inception_splits)
        distances = VideoDistances(
            self.lengths, self.networks, wanted, Path(self.evaluation.dir), module.device, processes
        )
        for length in self.lengths.used:
            for draw in range(self._draws("real")):
                self._measure_real(distances, data, length, draw, processes)
            for _, videos in self.videos:
                self._measure_generated(distances, videos, length, processes)
        metrics, skipped = distances.metrics()
        self.skipped += skipped
        return metrics

    def _measure_real(self, distances: VideoDistances, data: Any, length: int, draw: int, processes: Processes) -> None:
        clips = data.reference_clips(SPLITS[self.split], self.count, length, draw)
        # Looked at once: the record reads every name and decodes a clip.
        record = {**clips_record(clips.clips), "count": self.count} if processes.is_first else None
        record = processes.broadcast(record)
        self._clips.append(record)

        def listed() -> Sequence[ClipId]:
            names = [(clips.clips.source.name(index), start) for index, start in clips.listed]
            return file_clips(names, record["stride"], length)

        if distances.begin("real", length, record):
            loader = data.listed_dataloader(clips, AT_ONCE)
            for batch in tqdm(loader, f"real videos of {length} frames", unit="batch", disable=not self._progress):
                distances.add("real", length, batch["clip"], batch["number"])
            loader.close()
            distances.end("real", length, listed)

    def _measure_generated(
        self, distances: VideoDistances, videos: GeneratedVideos, length: int, processes: Processes
    ) -> None:
        generation = protocol_hash(videos.protocol)
        protocol = {"generation": dict(videos.protocol), "frames": length, "count": self.count}
        distances.begin("generated", length, protocol)
        mine = torch.tensor(processes.share(list(range(self.count))), dtype=torch.int64)
        name = f"generated videos, {length} frames"
        for numbers in tqdm(mine.split(AT_ONCE), name, unit="batch", disable=not self._progress):
            if len(numbers):
                batch = torch.stack([videos.read(number, length) for number in numbers.tolist()])
                distances.add("generated", length, batch, numbers)
        distances.end("generated", length, lambda: generated_clips(range(self.count), generation, length))

    def _report(self, metrics: list[MeasuredMetric], trainer: Trainer, module: LatentDiffusionModule) -> Report:
        data = trainer.datamodule  # type: ignore[attr-defined]
        for one in self._clips[:: self._draws("real")]:
            if one["usable_videos"] < self.count:
                clips_of = f"{self.count:,} real clips of {one['frames']} frames"
                self._notes.append(f"the {clips_of} come from {one['usable_videos']:,} videos.")
        generation: dict[str, Any] = {"model": self.model.record()}
        if self.videos:
            generation = self._generation(trainer, module, self.sampling)
            generation["ema"]["updates"] = int(module.ema.num_updates)
        return Report(
            title=f"Samples of {self.model.path.name}, step {self.model.global_step}, against "
            f"{type(data).__name__} {self.split} split",
            protocol={
                "stage": "two",
                "generation": generation,
                "data": data_record(data, self.split),
                "real_clips": self._clips,
                "count": self.count if self.videos else 0,
                "loss": {"split": "test", "clips": module.num_evaluated, "prediction_type": module.prediction_type},
                "measured": [
                    {"frames": one.num_frames, "frame_step": one.frame_step, "of": one.length}
                    for one in self.lengths.selections
                ],
                "repeats": {"count": self.evaluation.repeats, "over": self.evaluation.repeat_over}
                if self.evaluation.repeats > 1
                else None,
                "inception_splits": self.evaluation.inception_splits if self.lengths.inception else None,
                "networks": [network_record(network) for network in (*self.networks.video, *self.networks.c3d)],
                "versions": versions(),
            },
            metrics=metrics,
            skipped=self.skipped,
            notes=self._notes,
        )


def conditions_record(sampling: Sampling, denoiser: Denoiser, frames: int) -> dict[str, Any]:
    """What options of sampling say of conditions, of a denoiser that takes them.

    Args:
        sampling: The options.
        denoiser: The network.
        frames: Frames of a clip.
    """
    record: dict[str, Any] = {}
    if denoiser.num_classes:
        chosen = denoiser.class_names if sampling.class_names is None else sampling.class_names
        record["class_names"] = list(chosen)
    if "known" in denoiser.conditions:
        record["overlap"] = sampling.overlap_of(denoiser, frames)
    return record
