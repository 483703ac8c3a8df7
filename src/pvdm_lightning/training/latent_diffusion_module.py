"""Stage two: trains the denoiser on latents of the frozen autoencoder (PVDM, section 3.2 and 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args

import torch
from lightning import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import Self

from pvdm_lightning.config import register_to_config
from pvdm_lightning.diffusion import PredictionType, TimestepSampling, denoising_loss, training_times
from pvdm_lightning.diffusion.samplers import OnStep
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import one_line
from pvdm_lightning.models.compilation import compile_parts
from pvdm_lightning.models.condition import NO_LABEL, Condition, KnownFrames
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.pipeline.checkpoint import check_same, check_shapes, read_checkpoint
from pvdm_lightning.pipeline.diffusion_parts import DiffusionParts
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder, check_denoiser
from pvdm_lightning.pipeline.given import Given
from pvdm_lightning.pipeline.known_frames import FrameMask, fill_unknown
from pvdm_lightning.pipeline.sampling import Sampling
from pvdm_lightning.pipeline.video_pipeline import VideoPipeline
from pvdm_lightning.random import make_generator, randint, randn, sample_generators
from pvdm_lightning.training.batches import choose_pairs, move_but_host_values, part_of_batch
from pvdm_lightning.training.dashboard import LossBreakdown, Means, plane_images
from pvdm_lightning.training.distributed import gather, release, shard
from pvdm_lightning.training.ema import EMA
from pvdm_lightning.training.module_config import constructor_arguments, hyper_parameters, network_node
from pvdm_lightning.training.optimization import OptimizerName, WarmupDecay, make_optimizer
from pvdm_lightning.training.start_checks import (
    check_clip_shape,
    check_conditions,
    check_latent_range,
    check_latents_match,
    check_precision,
    checked_probabilities,
    known_masks_of,
)
from pvdm_lightning.training.step_draws import KnownMasks, StepDraws, copy_together

STEPS_IN_DASHBOARD = 20
"""Of the sampler that draws for the dashboard."""
CLASSES_IN_DASHBOARD, VIDEOS_OF_A_CLASS = 8, 2
"""Classes that have a panel of samples, the first ones, and how many videos at most each draws."""
WriteVideos = Callable[[Sequence[int], int, Iterable[Tensor], Sequence[str]], None]
"""Numbers of videos, frames of each, their clips as they are drawn, uint8 [B 3 t H W], and names of their classes."""


class LatentDiffusionModule(LightningModule):
    """Trains a denoiser on latents, unconditionally and given the previous clip.

    The autoencoder comes from its checkpoint, is frozen, and is carried inside this module's checkpoints, so that
    sampling needs one file. Validation and samples use the EMA of the denoiser.

    Args:
        denoiser: The network.
        autoencoder_checkpoint: Stage-one checkpoint; needed to start training, and not read again after that.
        conditional_probability: lambda, the share of samples trained with the clip before as condition
            (the authors: 0.3 on UCF-101, 0.2 on time lapses of the sky). Videos too short for a pair train without.
        condition_probabilities: The share of samples that keep each further part of their condition, if the denoiser
            takes it. Default: known 0.5, label, context and parts of one's own 0.9.
        normalize_latents: Train on latents shifted and scaled to mean 0 and std 1, as the first batch has them;
            else on the autoencoder's own, as in the paper.
        prediction_type: What the network learns to predict: epsilon, the noise (the paper); or a velocity, which a
            small network learns in fewer steps: v_prediction, or flow_prediction, that of rectified flow. Samplers
            follow it.
        timestep_sampling: Times that training draws: uniform (the paper), or logit_normal, more often those at which
            data and noise are about as strong.
        optimizer: adamw as in the paper, or muon, which learns the same in fewer steps.
        learning_rate: Learning rate after the warm-up.
        warmup_steps: Steps over which the learning rate grows linearly from 0.
        decay_steps: Last steps of the run (max_steps of the trainer), over which it falls linearly to 0.
        ema_decay: Decay of the EMA of the denoiser's weights.
        num_train_timesteps: T, steps of the noise schedule.
        beta_start: First beta of the noise schedule.
        beta_end: Last beta of the noise schedule.
    """

    clips_per_sample = 2
    config: dict[str, Any]

    @register_to_config
    def __init__(
        self,
        denoiser: Denoiser,
        autoencoder_checkpoint: str | None = None,
        conditional_probability: float = 0.3,
        condition_probabilities: dict[str, float] | None = None,
        normalize_latents: bool = False,
        prediction_type: PredictionType = "epsilon",
        timestep_sampling: TimestepSampling = "uniform",
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 1e-4,
        warmup_steps: int = 10_000,
        decay_steps: int = 0,
        ema_decay: float = 0.9999,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0015,
        beta_end: float = 0.0195,
    ) -> None:
        super().__init__()
        if not 0 <= conditional_probability <= 1:
            name, remedy = (
                "LatentDiffusionModule.conditional_probability",
                "Give 0 (never the clip before) to 1 (always).",
            )
            raise InvalidArgumentError(name, conditional_probability, "is not a probability", remedy)
        kinds = {"prediction_type": PredictionType, "timestep_sampling": TimestepSampling}
        for name, kind in kinds.items():
            if self.config[name] not in get_args(kind):
                remedy = f"Give {' or '.join(get_args(kind))}."
                raise InvalidArgumentError(f"LatentDiffusionModule.{name}", self.config[name], "is not known", remedy)
        self.save_hyperparameters(hyper_parameters(self))
        self.denoiser = denoiser
        self.ema = EMA(denoiser, ema_decay)
        self._parts = DiffusionParts.build(
            self.ema.network, normalize_latents, prediction_type, num_train_timesteps, beta_start, beta_end
        )
        self.schedule, self.normalization = self._parts.schedule, self._parts.normalization
        self.prediction_type = prediction_type
        self.timestep_sampling: TimestepSampling = timestep_sampling
        self.autoencoder: FrozenAutoencoder | None = None  # under this name in checkpoints; see `first_stage`
        self.autoencoder_checkpoint = autoencoder_checkpoint
        self.conditional_probability = conditional_probability
        self.condition_probabilities = checked_probabilities(condition_probabilities or {}, denoiser.conditions)
        self._stored_masks: Tensor | None = None
        self.optimizer = optimizer
        self.rate = WarmupDecay(learning_rate, warmup_steps, decay_steps)
        self.sampling, self.given = Sampling(), Given()
        self.on_sampling_step: OnStep | None = None
        self.write_videos: WriteVideos | None = None
        self.num_evaluated: dict[str, int] = {}  # clips behind each mean of the last validation or test
        self._breakdown = LossBreakdown(num_train_timesteps)

    # The frozen autoencoder. The constructor opens no file: it is read at the start of a fresh run only.

    @property
    def first_stage(self) -> FrozenAutoencoder:
        """The frozen autoencoder; see `load_first_stage`."""
        return self.load_first_stage()

    def load_first_stage(self) -> FrozenAutoencoder:
        """Read the frozen autoencoder from the stage-one checkpoint, at the first call of a run that starts afresh.

        Raises:
            InvalidArgumentError: No checkpoint was given, or its latents are not those that the denoiser takes.
        """
        if self.autoencoder is None:
            name = "LatentDiffusionModule.autoencoder_checkpoint"
            if self.autoencoder_checkpoint is None:
                raise InvalidArgumentError(
                    name,
                    None,
                    "stage two needs the autoencoder that stage one trained",
                    f"Train it with `pvdm fit --config ae.yaml` and give {name} .../last.ckpt.",
                )
            self.attach_first_stage(FrozenAutoencoder.from_checkpoint(self.autoencoder_checkpoint, name))
        assert self.autoencoder is not None
        return self.autoencoder

    def attach_first_stage(self, first_stage: FrozenAutoencoder) -> None:
        """Train on the latents of `first_stage`.

        Raises:
            InvalidArgumentError: The denoiser was built for other latents.
        """
        check_denoiser(self.denoiser, first_stage.autoencoder)
        self.autoencoder = first_stage
        for network in (self.denoiser, self.ema.network):
            network.latent_shape = first_stage.autoencoder.latent_shape
        self.pipeline = VideoPipeline(first_stage, *self._parts)

    def attach_carried_first_stage(self, checkpoint: Mapping[str, Any]) -> None:
        """Take over the autoencoder that a stage-two checkpoint carries, unless there is one.

        A resumed run calls this before it starts, so that the checkpoint of stage one is not needed.
        """
        if self.autoencoder is None:
            # With weights, although the module's own follow: `setup` compares them with those that encoded the data.
            self.attach_first_stage(FrozenAutoencoder.from_state(checkpoint))

    # Start of a run

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the autoencoder takes."""
        return self.first_stage.autoencoder.clip_shape

    def compile_networks(self, **options: Any) -> None:
        """Compile parts of denoiser, EMA and autoencoder in place; `options` as of torch.compile."""
        parts = [*self.denoiser.parts_to_compile(), *self.ema.network.parts_to_compile()]
        if self.autoencoder is not None:
            parts += self.autoencoder.autoencoder.parts_to_compile()
        compile_parts(parts, **options)

    def configure_model(self) -> None:
        shard(self.trainer, [self.denoiser, self.ema.network])

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)
        check_latents_match(self.trainer, self.first_stage)
        check_latent_range(self.first_stage, normalized=self.normalization is not None)
        check_clip_shape(self.trainer, self.clip_shape)
        if stage == "fit":
            self.rate.check_end(self.trainer.max_steps)
            self._name_classes()
        if stage != "predict":
            check_conditions(self.trainer, self.denoiser)
            self._stored_masks = known_masks_of(self.trainer, self.denoiser)

    def _name_classes(self) -> None:
        """Let the denoiser have the class names of the data, if it has classes, and checkpoints with it."""
        if self.denoiser.num_classes:
            names = getattr(getattr(self.trainer, "datamodule", None), "class_names", [])
            for network in (self.denoiser, self.ema.network):
                network.name_classes(names)
            self.hparams["denoiser"] = network_node(self.denoiser)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        move = super().transfer_batch_to_device
        return move_but_host_values(batch, lambda moving: move(moving, device, dataloader_idx))

    # Training

    @property
    def learning_rate(self) -> float:
        """The learning rate after the warm-up; Lightning's LearningRateFinder sets it."""
        return self.rate.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.rate = replace(self.rate, learning_rate=value)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = make_optimizer(self.optimizer, self.denoiser, self.rate.learning_rate, fused=self._fused())
        end = self.trainer.max_steps
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.rate.factor(step, end))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _fused(self) -> bool:
        # In float16 a fused optimizer takes the scale from gradients itself, after they would be clipped.
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return scaler is None or not self.trainer.gradient_clip_val

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        precision = self.trainer.precision_plugin
        if isinstance(precision, MixedPrecision) and precision.scaler is None:
            # The plugin refuses a fused optimizer because of the scale, which bfloat16 does not have.
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(precision, optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_start(self) -> None:
        # On resume, options override the restored optimizer state.
        scheduler = self.lr_schedulers()
        if not isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
            return  # that of a LearningRateFinder, whose trial steps begin here, too
        scheduler.base_lrs = [self.rate.learning_rate] * len(scheduler.base_lrs)
        factor = scheduler.lr_lambdas[0](scheduler.last_epoch)
        for group in scheduler.optimizer.param_groups:
            group.update(initial_lr=self.rate.learning_rate, lr=self.rate.learning_rate * factor)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        # Asked in the first step alone: a GPU would have to be waited for.
        if self.normalization is not None and self.global_step == 0 and not self.normalization.measured:
            all_reduce = partial(self.trainer.strategy.reduce, reduce_op="sum")
            with self.trainer.precision_plugin.train_step_context():
                latents = self.first_stage.to_latent(batch["clip"])
            self.normalization.measure(latents, self.first_stage.autoencoder.latent_shape, all_reduce)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        draws = self._draw(batch, batch_idx).to(batch["clip"].device)
        z_0, condition = choose_pairs(batch, draws, self.pipeline.to_latent, self.denoiser.conditions)
        losses = self._losses(self.denoiser, z_0, condition, draws.t, draws.noise)
        self._breakdown.add(losses, draws.t, condition)
        if self.trainer._logger_connector.should_update_logs:
            self.log_dict({f"train/{name}": value for name, value in self._breakdown.take().items()})
        optimizer = self.optimizers().optimizer  # type: ignore[union-attr]
        self.log("train/loss", losses.detach().mean(), batch_size=len(z_0))
        self.log("train/learning_rate", torch.tensor(optimizer.param_groups[0]["lr"]))
        self.log("train/ema_decay", torch.tensor(self.ema.last_decay))
        return losses.mean()

    def _draw(self, batch: dict[str, Tensor], batch_idx: int) -> StepDraws:
        generators = sample_generators(batch_idx, self.global_step, batch["index"])
        parts, label = self.denoiser.conditions, None
        given = dict.fromkeys(parts, torch.ones_like(batch["has_previous"])) | {"previous": batch["has_previous"]}
        if "label" in parts:
            label = batch["label"]
            given["label"] = label != NO_LABEL
        draws = StepDraws.draw(
            generators,
            given,
            {**self.condition_probabilities, "previous": self.conditional_probability},
            self.schedule.num_train_timesteps,
            self._latent_size,
            label,
            KnownMasks(self.clip_shape[0], self._stored_masks) if "known" in parts else None,
        )
        return draws._replace(t=self._times[draws.t])

    @cached_property
    def _times(self) -> Tensor:
        """What the times of `StepDraws` stand for; on the CPU, where they are drawn."""
        return training_times(self.schedule, self.timestep_sampling)

    @property
    def _latent_size(self) -> tuple[int, int]:
        """(C, L) of a latent."""
        autoencoder = self.first_stage.autoencoder
        return autoencoder.latent_channels, autoencoder.latent_shape.num_tokens

    def _losses(self, network: Denoiser, z_0: Tensor, condition: Condition | None, t: Tensor, noise: Tensor) -> Tensor:
        denoise = partial(network, condition=condition)
        return denoising_loss(denoise, self.schedule, z_0, t, noise, self.prediction_type)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.ema.update(self.denoiser)

    # Validation and test: losses of the EMA on held-out clips, without a condition and given each part of one alone

    def on_validation_epoch_start(self) -> None:
        further = (f"loss_{part}" for part in self.condition_probabilities)
        self._means = Means(("loss", "loss_next_clip", *further), self.device)
        gather(self.ema.network)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        draws = copy_together(self._draw_held_out(batch), batch["clip"].device)
        t, noise, chosen = draws["t"], draws["noise"], draws["chosen"]
        z_0 = self.pipeline.to_latent(batch["clip"])
        with self.pipeline.cast_weights():
            self._means.add("loss", self._losses(self.ema.network, z_0, None, t, noise))
            if len(chosen):
                condition = Condition(self.pipeline.to_latent(batch["previous"][chosen]))
                losses = self._losses(self.ema.network, z_0[chosen], condition, t[chosen], noise[chosen])
                self._means.add("loss_next_clip", losses)
            for part in self.condition_probabilities:
                condition = self._held_out_condition(part, batch, draws)
                self._means.add(f"loss_{part}", self._losses(self.ema.network, z_0, condition, t, noise))

    def _held_out_condition(self, part: str, batch: dict[str, Tensor], draws: dict[str, Tensor]) -> Condition:
        """The condition that has one part alone; of known frames, the first of the cache or else the first half."""
        if part == "label":
            return Condition(label=draws["label"])
        if part == "context":
            return Condition(context=part_of_batch(batch, part))
        if part != "known":
            return Condition(extra={part: part_of_batch(batch, part)})
        stored, mask = self._stored_masks is not None, draws["mask"]
        filled = batch["known"][:, 0] if stored else fill_unknown(batch["clip"], mask)
        return Condition(known=KnownFrames(self.pipeline.to_latent(filled), mask))

    def _draw_held_out(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """t, noise, the numbers of the samples that have a clip before them, and conditions; on the CPU."""
        # Random numbers follow from the index of the video alone.
        generators = [make_generator(0, index) for index in batch["index"].tolist()]
        t = randint(self.schedule.num_train_timesteps, len(generators), generators)
        noise = randn((len(generators), *self._latent_size), generators, t.device)
        drawn = {"t": t, "noise": noise, "chosen": batch["has_previous"].nonzero()[:, 0]}
        if "label" in self.condition_probabilities:
            drawn["label"] = batch["label"]
        if "known" in self.condition_probabilities:
            half = FrameMask("first", (self.clip_shape[0] + 1) // 2).mask(self.clip_shape[0])
            drawn["mask"] = (half if self._stored_masks is None else self._stored_masks[0]).repeat(len(t), 1)
        return drawn

    def on_validation_epoch_end(self, prefix: str = "val") -> None:
        means = self._means.reduce(self.trainer.strategy)
        self.num_evaluated = {name: count for name, (_, count) in means.items()}
        release(self.ema.network)  # callbacks, which sample for the dashboard, came before
        self.pipeline.release()
        for name, (mean, _) in means.items():
            self.log(f"{prefix}/{name}", mean, prog_bar=name == "loss", sync_dist=True)

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.on_validation_epoch_end("test")

    # Samples: predictions and the dashboard

    def predict_with(self, sampling: Sampling, given: Given | None = None) -> None:
        """Choose how `predict_step` samples, and what is given of all videos.

        Raises:
            InvalidArgumentError: The model cannot do it.
        """
        self.sampling, self.given = sampling, given or Given()
        self.given.check(self.denoiser, self.clip_shape)
        sampling.overlap_of(self.denoiser, self.clip_shape[0])
        sampling.labels([0], self.denoiser.class_names)

    def predict_step(self, batch: Tensor, batch_idx: int) -> dict[str, Tensor]:
        """Numbers of videos int64 [B] -> the videos uint8 [B 3 T H W], if `write_videos` does not take their clips."""
        numbers = batch.tolist()
        given = self.given.rows(numbers) if self.given.num_videos > 1 else self.given
        given, _ = given.for_each(len(numbers))
        clips = self.pipeline.stream(numbers, self.sampling, given, self.on_sampling_step)
        if self.write_videos is None:
            return {"video": torch.cat(list(clips), dim=2), "index": batch}
        names = self.denoiser.class_names
        labels = self.sampling.labels(numbers, names).tolist()
        frames = self.sampling.num_frames or self.clip_shape[0]
        self.write_videos(numbers, frames, clips, [names[label] if label != NO_LABEL else "" for label in labels])
        return {"index": batch}

    def on_predict_epoch_end(self) -> None:
        self.pipeline.release()

    def clips_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panel of training clips for the dashboard, uint8 [N 3 S H W]; of cached latents what they decode to."""
        return {"clips": self._captioned(batch["clip"][:num_videos], "training clip")}

    def sample_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panels for the dashboard: held-out clips, samples of two clips, and their planes as pictures.

        Of a model with classes also samples of each of the first `CLASSES_IN_DASHBOARD`; of one that takes known frames
        also what it makes of the first quarter of held-out clips.
        """
        clip = batch["clip"][:num_videos]
        indices = list(range(len(clip)))
        frames = self.clip_shape[0]
        sampling = Sampling(num_frames=2 * frames, sampler="dpm_solver", num_inference_steps=STEPS_IN_DASHBOARD)
        samples = self.pipeline.generate(indices, sampling)
        first = self.first_stage.encode(samples[:, :, :frames])
        seeds = f"samples 0 to {indices[-1]} of seed {sampling.seed}; the second half continues the first"
        one_clip = replace(sampling, num_frames=frames)
        return {
            "clips": self._captioned(clip, "held-out clip"),
            "samples": {seeds: samples},
            **self._samples_by_class(indices[:VIDEOS_OF_A_CLASS], one_clip),
            **self._continued(batch, indices, one_clip),
            "planes": plane_images(Triplane.from_sequence(first, self.first_stage.autoencoder.latent_shape)),
        }

    def _samples_by_class(self, indices: list[int], sampling: Sampling) -> dict[str, dict[str, Tensor]]:
        """A panel of clips for each class; the same noise in all, so that they differ by the class alone."""
        names = self.denoiser.class_names[:CLASSES_IN_DASHBOARD]
        of = "" if len(names) == self.denoiser.num_classes else f", of {self.denoiser.num_classes} classes"
        drawn = {}
        for label, name in enumerate(names):
            samples = self.pipeline.generate(indices, replace(sampling, class_names=[name]))
            # By number: a name may hold anything, and a tag may become the path of a file.
            drawn[f"class_{label}"] = {f"{one_line(name, 60)} (class {label}{of})": samples}
        return drawn

    def _continued(
        self, batch: dict[str, Tensor], indices: list[int], sampling: Sampling
    ) -> dict[str, dict[str, Tensor]]:
        """A panel of held-out clips beside what the model makes of their first quarter."""
        frames = self.clip_shape[0]
        if "known" not in self.denoiser.conditions or frames < 2:
            return {}
        clip = self.first_stage.to_pixels(batch["clip"][: len(indices)])
        number = max(1, frames // 4)
        given = Given(known=clip, mask=FrameMask("first", number).mask(frames).repeat(len(clip), 1))
        made = self.pipeline.generate(indices, replace(sampling, class_names=self._classes_of(batch, len(clip))), given)
        first = "first frame" if number == 1 else f"first {number} frames"
        real = "held-out clip" if batch["clip"].dim() == 5 else "decoded latent of a held-out clip"
        return {"continued": {real: clip.cpu(), f"continued from its {first}": made}}

    def _classes_of(self, batch: dict[str, Tensor], number: int) -> list[str | int]:
        """Names of the classes of the first videos of a batch; none if one of them has no class."""
        labels = batch["label"][:number].tolist() if self.denoiser.class_names and "label" in batch else []
        return [] if NO_LABEL in labels else [self.denoiser.class_names[label] for label in labels]

    def _captioned(self, clip: Tensor, name: str) -> dict[str, Tensor]:
        """A row of clips under their caption, uint8 [N 3 S H W]."""
        caption = f"decoded latent of a {name}" if clip.dim() == 3 else name
        return {caption: self.first_stage.to_pixels(clip)}

    # Checkpoints

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: torch.device | str | None = None, **arguments: Any
    ) -> Self:
        """Load the module of a checkpoint, with its autoencoder, without importing anything that the file names.

        Args:
            checkpoint_path: Path of a file that `fit` wrote.
            map_location: Device of the module. Default: the CPU.
            **arguments: Arguments of the constructor, in place of those in the file.

        Raises:
            InvalidArgumentError: The file is no checkpoint of this class, or holds weights that are NaN or infinite.
        """
        checkpoint = read_checkpoint(checkpoint_path, "checkpoint_path", expected=cls.__name__)
        module = cls(**{**constructor_arguments(checkpoint["hyper_parameters"]), **arguments})
        module.attach_carried_first_stage(checkpoint)
        module.check_checkpoint(checkpoint, checkpoint_path)
        module.load_state_dict(checkpoint["state_dict"])
        return module if map_location is None else module.to(map_location)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["autoencoder"] = network_node(self.first_stage.autoencoder)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # A strategy that shards weights reads them itself, after this; the command line has attached the autoencoder.
        if "state_dict" in checkpoint:
            self.attach_carried_first_stage(checkpoint)
        self.check_checkpoint(checkpoint, self.trainer.ckpt_path)
        for state in checkpoint.get("optimizer_states", []):
            for group in (group for group in state["param_groups"] if "fused" in group):
                group["fused"] = self._fused()  # as `configure_optimizers`

    def check_checkpoint(self, checkpoint: Mapping[str, Any], path: object) -> None:
        """Raise `InvalidArgumentError` unless a checkpoint was trained with networks and options like these."""
        if "state_dict" in checkpoint:
            check_shapes(self.state_dict(), checkpoint["state_dict"], path)
        check_same("LatentDiffusionModule.optimizer", self.optimizer, checkpoint)
        check_same("LatentDiffusionModule.prediction_type", self.prediction_type, checkpoint)
