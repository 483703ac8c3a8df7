"""Stage two: trains the denoiser on latents of the frozen autoencoder (PVDM, section 3.2 and 3.3)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from pvdm_lightning.config import register_to_config
from pvdm_lightning.diffusion import (
    NoiseSchedule,
    PredictionType,
)
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline.checkpoint import check_finite, check_same, check_shapes
from pvdm_lightning.pipeline.latent_normalization import CLIP_RANGE, LatentNormalization
from pvdm_lightning.pipeline.sampling import Sampling
from pvdm_lightning.random import Generators, randint, randn, sample_generators
from pvdm_lightning.training import hyper_parameters
from pvdm_lightning.training.clip_size import check_clip_shape
from pvdm_lightning.training.ema import EMA
from pvdm_lightning.training.evaluated import EvaluatedModule
from pvdm_lightning.training.latent_source import check_latents_match
from pvdm_lightning.training.learning_rate import WarmupDecay
from pvdm_lightning.training.loss_breakdown import LossBreakdown
from pvdm_lightning.training.optimizer import OptimizerName, make_optimizer
from pvdm_lightning.training.pairs import pairs_of
from pvdm_lightning.training.precision import check_precision
from pvdm_lightning.training.sharding import shard


class LatentDiffusionModule(EvaluatedModule):
    """Trains a TriplaneUNet to denoise latents, unconditionally and given the previous clip.

    The autoencoder comes from its checkpoint, is frozen, and is carried inside this module's checkpoints, so that
    sampling needs one file. Validation and samples use the EMA of the denoiser.

    Args:
        denoiser: The network.
        autoencoder_checkpoint: Stage-one checkpoint; needed to start training, and not read again after that.
        conditional_probability: lambda, the share of samples trained with the clip before as condition
            (the authors: 0.3 on UCF-101, 0.2 on SkyTimelapse). Videos too short for a pair train without.
        normalize_latents: Train on latents shifted and scaled to mean 0 and std 1, as the first batch has them;
            else on the autoencoder's own, as in the paper.
        prediction_type: What the network learns to predict: epsilon, the noise (the paper), or v_prediction, the
            velocity, which a small network learns in fewer steps. Samplers follow it.
        optimizer: adamw as in the paper, or muon, which learns the same in fewer steps.
        learning_rate: After the warm-up.
        warmup_steps: Steps over which the learning rate grows linearly from 0.
        decay_steps: Last steps of the run (max_steps of the trainer), over which it falls linearly to 0.
        ema_decay: Of the EMA of the denoiser's weights.
        num_train_timesteps: T, steps of the noise schedule.
        beta_start: Its first beta.
        beta_end: Its last beta.
    """

    clips_per_sample = 2

    @register_to_config
    def __init__(
        self,
        denoiser: TriplaneUNet,
        autoencoder_checkpoint: str | None = None,
        conditional_probability: float = 0.3,
        normalize_latents: bool = False,
        prediction_type: PredictionType = "epsilon",
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
        self.save_hyperparameters(hyper_parameters.of_module(self))
        self.denoiser = denoiser
        self.ema = EMA(denoiser, ema_decay)
        self.schedule = NoiseSchedule(
            num_train_timesteps, beta_start, beta_end, CLIP_RANGE if normalize_latents else 1.0
        )
        self.normalization = LatentNormalization(denoiser.latent_channels) if normalize_latents else None
        self.autoencoder_checkpoint = autoencoder_checkpoint
        self.conditional_probability = conditional_probability
        self.prediction_type = prediction_type
        self.optimizer = optimizer
        self.rate = WarmupDecay(learning_rate, warmup_steps, decay_steps)
        self.sampling = Sampling()
        self._breakdown = LossBreakdown(num_train_timesteps)

    def compile_networks(self, **options: Any) -> None:
        """Compile denoiser, EMA and autoencoder in place; `options` as of torch.compile."""
        for network in (self.denoiser, self.ema.network):
            network.compile(**options)
        if self.autoencoder is not None:
            self.autoencoder.autoencoder.compile_parts(**options)

    def configure_model(self) -> None:
        shard(self.trainer, [self.denoiser, self.ema.network])

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)
        check_latents_match(self.trainer, self.load_autoencoder())
        if self.normalization is None and self.load_autoencoder().autoencoder.zero_mean_motion:
            # Subtracting a mean takes latents out of [-1, 1], to which samplers clip those that are not normalized.
            raise InvalidArgumentError(
                "LatentDiffusionModule.normalize_latents",
                False,
                "does not go with an autoencoder of zero_mean_motion, whose latents leave [-1, 1]",
                "Give true.",
            )
        check_clip_shape(self.trainer, self.clip_shape, "the autoencoder")
        if stage == "fit":
            self.rate.check_end(self.trainer.max_steps)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # A strategy that shards weights reads them itself, after this; the command line has attached the autoencoder.
        if "state_dict" in checkpoint:
            self.attach_carried_autoencoder(checkpoint)
            path = getattr(self._trainer, "ckpt_path", "it")
            check_shapes(self.state_dict(), checkpoint["state_dict"], path)
            check_finite(checkpoint["state_dict"], "ckpt_path", path)
        if self._trainer is not None:
            for state in checkpoint.get("optimizer_states", []):
                for group in (group for group in state["param_groups"] if "fused" in group):
                    group["fused"] = not self._trainer.gradient_clip_val  # as `configure_optimizers`
        check_same("LatentDiffusionModule.optimizer", self.optimizer, checkpoint)
        check_same("LatentDiffusionModule.prediction_type", self.prediction_type, checkpoint)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # Lightning clips no gradients that a fused optimizer would unscale itself.
        fused = not self.trainer.gradient_clip_val
        optimizer = make_optimizer(self.optimizer, self.denoiser, self.rate.learning_rate, fused=fused)
        end = self.trainer.max_steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.rate.factor(step, end))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        # On resume, options override the restored optimizer state.
        scheduler = self.lr_schedulers()
        assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
        scheduler.base_lrs = [self.rate.learning_rate] * len(scheduler.base_lrs)
        factor = scheduler.lr_lambdas[0](scheduler.last_epoch)
        for group in scheduler.optimizer.param_groups:
            group.update(initial_lr=self.rate.learning_rate, lr=self.rate.learning_rate * factor)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        # Asked in the first step alone: a GPU would have to be waited for.
        if self.normalization is not None and self.global_step == 0 and not self.normalization.measured:
            frozen = self.load_autoencoder()
            all_reduce = partial(self.trainer.strategy.reduce, reduce_op="sum")
            with self.trainer.precision_plugin.train_step_context():
                latents = frozen.to_latent(batch["clip"])
            self.normalization.measure(latents, frozen.autoencoder.latent_shape, all_reduce)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        generator = sample_generators(batch_idx, self.global_step, batch["index"])
        z_0, condition = pairs_of(batch, self.conditional_probability, self.pipeline.to_latent, generator)
        t, noise = self._draw_noise(z_0, generator)
        losses = self._loss(self.denoiser, z_0, condition, t, noise)
        self._breakdown.add(losses, t, condition)
        if self.trainer._logger_connector.should_update_logs:
            self.log_dict({f"train/{name}": value for name, value in self._breakdown.take().items()})
        optimizer = self.optimizers().optimizer  # type: ignore[union-attr]
        self.log("train/loss", losses.detach().mean(), prog_bar=True, batch_size=len(z_0))
        self.log("train/learning_rate", torch.tensor(optimizer.param_groups[0]["lr"]))
        self.log("train/ema_decay", torch.tensor(self.ema.last_decay))
        return losses.mean()

    def _draw_noise(self, z_0: Tensor, generator: Generators) -> tuple[Tensor, Tensor]:
        t = randint(self.schedule.num_train_timesteps, len(z_0), generator)
        return t.to(z_0.device), randn(z_0.shape, generator, z_0.device)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.ema.update(self.denoiser)

    def predict_with(self, sampling: Sampling) -> None:
        """Choose how `predict_step` samples."""
        self.sampling = sampling

    def predict_step(self, batch: Tensor, batch_idx: int) -> dict[str, Tensor]:
        """Numbers of videos int64 [B] -> the videos uint8 [B 3 T H W]."""
        return {"video": self.pipeline.generate(batch.tolist(), self.sampling), "index": batch}
