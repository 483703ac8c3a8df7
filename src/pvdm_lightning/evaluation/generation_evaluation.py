"""Stage two: how far generated videos are from real ones, at several lengths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.chosen_networks import choose_networks
from pvdm_lightning.evaluation.clip_options import RealClips
from pvdm_lightning.evaluation.distances import AT_ONCE, VideoDistances
from pvdm_lightning.evaluation.feature_networks import FoundNetworks, SkippedMetric
from pvdm_lightning.evaluation.features import ClipId, generated_clips
from pvdm_lightning.evaluation.figures import is_answered
from pvdm_lightning.evaluation.generated_videos import GeneratedVideos
from pvdm_lightning.evaluation.lengths import Lengths, choose_lengths
from pvdm_lightning.evaluation.measured_clips import MeasuredClips
from pvdm_lightning.evaluation.named_protocol import NamedProtocol, settings_of
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
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline import Sampling
from pvdm_lightning.pipeline.pixels import truncated_pixels
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

    Attributes:
        is_answered: After the test, whether a distance of the samples was measured; if not, the report says why.
    """

    def __init__(
        self, evaluation: Evaluation, sampling: Sampling, networks: FoundNetworks, model: TrainedModel
    ) -> None:
        self.evaluation, self.sampling, self.model = evaluation, sampling, model
        self.networks = choose_networks(networks, evaluation.networks, evaluation.distances)
        self.skipped = list(self.networks.skipped)
        self.count = evaluation.generated.count
        self.split = evaluation.split or "train"
        self.lengths = Lengths([], None, [])
        self.videos: list[tuple[Sampling, GeneratedVideos]] = []  # one for each draw
        self._real: dict[int, list[MeasuredClips]] = {}  # by length, one for each draw
        self._records: dict[str, dict[str, Any]] = {}
        self._notes: list[str] = []
        self._progress = True
        self.is_answered = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, LatentDiffusionModule)
        self._progress = trainer.progress_bar_callback is not None and trainer.is_global_zero
        data = trainer.datamodule  # type: ignore[attr-defined]
        check_rounding(self.evaluation)
        check_world_size(trainer, len(data.test_dataset()))
        self._choose_lengths(data, pl_module.clip_shape[0])
        self.lock_output(trainer, Path(self.evaluation.dir), "Evaluation.dir")
        if not self.lengths.used:
            return
        self.sampling = replace(self.sampling, num_videos=self.count, num_frames=self._num_frames())
        self.sampling.samplers(pl_module.schedule)
        self.sampling.check_memory(pl_module.clip_shape)
        for draw in range(self.evaluation.draws("generation")):
            sampling = replace(self.sampling, seed=self.sampling.seed + draw)
            videos = GeneratedVideos(Path(self.evaluation.dir), self._generation(trainer, pl_module, sampling))
            self.videos.append((sampling, videos))
            if trainer.is_global_zero:
                _, height, width = pl_module.clip_shape
                shape = (self._num_frames(), height, width)
                videos.prepare(len(videos.missing(self.count)), shape)

    @property
    def _truncates(self) -> bool:
        return self.evaluation.preparation.rounding == "truncate"

    def _num_frames(self) -> int:
        """Frames of a generated video, from which a clip of each length is taken."""
        return Windows(self.lengths.used[-1], self.evaluation.generated.stride).clip_span

    def _real_options(self) -> list[RealClips]:
        """The options of each draw of real clips."""
        real = self.evaluation.real
        return [replace(real, seed=real.seed + draw) for draw in range(self.evaluation.draws("real"))]

    def _choose_lengths(self, data: Any, frames: int) -> None:
        """Take the lengths asked for; by default one clip, and eight clips where real videos are that long."""
        wanted = self.evaluation.frames or [frames, CLIPS_OF_A_LONG_VIDEO * frames]
        evaluation, source = self.evaluation, data.split_source(SPLITS[self.split])
        measured = []
        for length in sorted(set(wanted)):
            windows = Windows(length, evaluation.real.stride or data.stride)
            draws = [
                MeasuredClips.real(source, windows, data.clip_shape[1:], options, evaluation.preparation)
                for options in self._real_options()
            ]
            if len(draws[0]):
                measured.append(length)
                self._real[length] = draws
                continue
            needed, longest = draws[0].dataset.clips.needed, int(source.lengths.max(initial=0))
            problem = f"no {self.split} video has {needed} frames, the longest one has {longest}"
            if evaluation.frames is not None:
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
            **({"rounding": "truncate"} if self._truncates else {}),
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
            with trainer.precision_plugin.test_step_context(), truncated_pixels(self._truncates):
                self._generate(sampling, videos, pl_module, processes)
        if self.videos:
            metrics = self._measure(trainer, pl_module, processes) + metrics
        self.is_answered = processes.broadcast(is_answered(metrics, self.evaluation.distances))
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
        wanted = self.evaluation.figures()
        distances = VideoDistances(
            self.lengths, self.networks, wanted, Path(self.evaluation.dir), module.device, processes
        )
        for length in self.lengths.used:
            for draw, clips in enumerate(self._real[length]):
                self._measure_real(distances, data, clips, draw, processes)
            for draw, (_, videos) in enumerate(self.videos):
                self._measure_generated(distances, data, videos, length, draw, processes)
        metrics, skipped = distances.metrics()
        self.skipped += skipped
        return metrics

    def _measure_real(
        self, distances: VideoDistances, data: Any, clips: MeasuredClips, draw: int, processes: Processes
    ) -> None:
        record = self._record(clips, draw, processes)
        self._notes += [note for note in clips.notes() if note not in self._notes]
        if distances.begin("real", clips.frames, record):
            self._add(distances, data, clips)
            distances.end("real", clips.frames, clips.clip_ids)

    def _measure_generated(
        self,
        distances: VideoDistances,
        data: Any,
        videos: GeneratedVideos,
        length: int,
        draw: int,
        processes: Processes,
    ) -> None:
        options, preparation = self.evaluation.generated, self.evaluation.preparation
        source = videos.source(self.count)
        clips = MeasuredClips.generated(source, length, data.clip_shape[1:], options, preparation)
        record = self._record(clips, draw, processes)
        distances.begin("generated", length, {**record, "generation": dict(videos.protocol)})
        self._add(distances, data, clips)
        made_by = protocol_hash(videos.protocol)

        def clip_ids() -> list[ClipId]:
            pairs = zip(clips.dataset.videos.tolist(), clips.dataset.clips.starts.tolist())
            return [
                one._replace(start=start)
                for video, start in pairs
                for one in generated_clips([video], made_by, length, options.stride)
            ]

        distances.end("generated", length, clip_ids)

    def _record(self, clips: MeasuredClips, draw: int, processes: Processes) -> dict[str, Any]:
        """What the report says of clips; the first process reads every name and decodes a clip for it."""
        record = clips.record() if processes.is_first else {}
        if clips.side == "generated":
            record.pop("fingerprint", None)  # of files that are written anew; `generation` says what they are
        record = processes.broadcast(record)
        self._records[clips.key(draw)] = record
        return record

    def _add(self, distances: VideoDistances, data: Any, clips: MeasuredClips) -> None:
        loader = data.clip_loader(clips.dataset, AT_ONCE)
        name = f"{clips.side} videos of {clips.frames} frames"
        for batch in tqdm(loader, name, unit="batch", disable=not self._progress):
            distances.add(clips.side, clips.frames, batch["clip"], batch["number"])
        loader.close()

    def _report(self, metrics: list[MeasuredMetric], trainer: Trainer, module: LatentDiffusionModule) -> Report:
        data = trainer.datamodule  # type: ignore[attr-defined]
        generation: dict[str, Any] = {"model": self.model.record()}
        if self.videos:
            generation = self._generation(trainer, module, self.sampling)
            generation["ema"]["updates"] = int(module.ema.num_updates)
        return Report(
            title=f"Samples of {self.model.path.name}, step {self.model.global_step}, against "
            f"{type(data).__name__} {self.split} split",
            named=self._named(metrics, data),
            protocol={
                "stage": "two",
                "generation": generation,
                "data": data_record(data, self.split),
                "clips": self._records,
                "loss": {"split": "test", "clips": module.num_evaluated, "prediction_type": module.prediction_type},
                "measured": [
                    {"frames": one.num_frames, "frame_step": one.frame_step, "of": one.length}
                    for one in self.lengths.selections
                ],
                "repeats": self.evaluation.repeats_record(),
                "inception_splits": self.evaluation.inception_splits if self.lengths.inception else None,
                "distances": list(self.evaluation.distances),
                "inception_loops": self.evaluation.inception_loops if self.lengths.inception else None,
                "networks": [network_record(network) for network in (*self.networks.video, *self.networks.c3d)],
                "versions": versions(),
            },
            metrics=metrics,
            skipped=self.skipped,
            notes=self._notes,
        )

    def _named(self, metrics: list[MeasuredMetric], data: Any) -> str:
        evaluation, stride = self.evaluation, self.evaluation.real.stride or data.stride
        lengths, size = sorted(self._real), tuple(data.clip_shape[1:])
        fps = getattr(data, "fps", None)
        settings = settings_of(evaluation, lengths, size, self.networks, stride, self.split, fps)
        return NamedProtocol.find(evaluation.protocol).name_of(settings, metrics)


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
