"""Stage one: trains the autoencoder with L1 + LPIPS, then with two discriminators (PVDM, section 3.1 and appendix)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import check_at_least
from pvdm_lightning.losses import AutoencoderLoss
from pvdm_lightning.metrics.reconstruction import mean_psnr
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.checkpoint import check_finite, check_same, check_same_value, check_shapes
from pvdm_lightning.pipeline.pixels import to_signed_float
from pvdm_lightning.random import Generators, randint, sample_generators
from pvdm_lightning.training import hyper_parameters
from pvdm_lightning.training.batch_norm import use_global_batch_norm
from pvdm_lightning.training.clip_size import check_clip_shape
from pvdm_lightning.training.latent_noise import LatentNoise
from pvdm_lightning.training.latent_source import check_pixels
from pvdm_lightning.training.learning_rate import WarmupDecay
from pvdm_lightning.training.optimizer import OptimizerName, make_optimizer
from pvdm_lightning.training.precision import check_precision
from pvdm_lightning.training.reconstruction import ReconstructionModule


class AutoencoderModule(ReconstructionModule):
    """Trains a VideoAutoencoder.

    Each batch, or every `accumulate_grad_batches` batches, is one optimizer step. Until step `adversarial_start` only
    the autoencoder is trained; from then on autoencoder and discriminators are trained in alternate steps.

    Args:
        autoencoder: The network.
        pixel_loss: Distance of pixels: l1 as in the paper, or l2, which learns small moving things sooner.
        pixel_weight: Weight of the distance of pixels.
        perceptual_weight: Weight of LPIPS on one random frame of each clip; 0 trains without it.
        adversarial_weight: Weight of the hinge terms.
        feature_weight: Weight of the discriminators' feature matching.
        adversarial_start: Step at which the adversarial phase begins; null trains without one.
        discriminator_channels: Channels of the discriminators' first layer.
        latent_noise: Train the decoder on latents with noise of up to this share of their std, so that it forgives what
            stage two does not hit exactly. 0, as in the paper, is none.
        optimizer: Of the autoencoder: adamw as in the paper, or muon, which learns the same in fewer steps. The
            discriminators keep AdamW.
        learning_rate: Of autoencoder and discriminators.
        warmup_steps: Steps over which the autoencoder's learning rate grows linearly from 0.
        decay_steps: Last steps of the run (max_steps of the trainer), over which it falls linearly to 0.
        betas: Of AdamW; the authors' 0.5 suits the adversarial phase, 0.9 and 0.99 reconstruct sooner.
        discriminator_clip: Largest norm of each discriminator's gradient.
        accumulate_grad_batches: Batches that share an optimizer step.
        lpips_weights: Path of vgg16-397923af.pth; null looks for it in the cache folders.
    """

    @register_to_config
    def __init__(
        self,
        autoencoder: VideoAutoencoder,
        pixel_loss: Literal["l1", "l2"] = "l1",
        pixel_weight: float = 4.0,
        perceptual_weight: float = 4.0,
        adversarial_weight: float = 1.0,
        feature_weight: float = 4.0,
        adversarial_start: int | None = None,
        discriminator_channels: int = 64,
        latent_noise: float = 0.0,
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 1e-4,
        warmup_steps: int = 0,
        decay_steps: int = 0,
        betas: tuple[float, float] = (0.5, 0.9),
        discriminator_clip: float = 1.0,
        accumulate_grad_batches: int = 1,
        lpips_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        check_at_least("AutoencoderModule.adversarial_start", adversarial_start, 0)
        check_at_least("AutoencoderModule.accumulate_grad_batches", accumulate_grad_batches, 1)
        self.save_hyperparameters(hyper_parameters.of_module(self))
        self.autoencoder = autoencoder
        self.loss = AutoencoderLoss(
            pixel_loss, pixel_weight, perceptual_weight, adversarial_weight, feature_weight, discriminator_channels
        )
        self.rate = WarmupDecay(learning_rate, warmup_steps, decay_steps)
        self.optimizer = optimizer
        self.betas = (betas[0], betas[1])
        self.adversarial_start = adversarial_start
        self.discriminator_clip = discriminator_clip
        self.add_noise = LatentNoise(latent_noise)
        self.accumulate_grad_batches = accumulate_grad_batches
        self.lpips_weights = lpips_weights

    def compile_networks(self, **options: Any) -> None:
        """Compile the autoencoder in place, so that the keys of checkpoints stay; `options` as of torch.compile."""
        self.autoencoder.compile_parts(**options)

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)
        check_pixels(self.trainer)
        check_clip_shape(self.trainer, self.clip_shape, "the autoencoder")
        if stage == "fit":
            self.rate.check_end(self.trainer.max_steps)
            self.loss.load_perceptual(self.lpips_weights, quiet=not self.trainer.is_global_zero)
            strategy = self.trainer.strategy
            if self.trainer.world_size > 1:
                use_global_batch_norm(self.loss.discriminators)
            if self.adversarial_start is None:
                self.loss.discriminators.requires_grad_(False)
            elif isinstance(strategy, DDPStrategy):
                # Each step leaves the weights of the other networks without a gradient.
                strategy._ddp_kwargs.setdefault("find_unused_parameters", True)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        rate = self.rate.learning_rate
        return (
            make_optimizer(self.optimizer, self.autoencoder, rate, self.betas),
            make_optimizer("adamw", self.loss.discriminators, rate, self.betas),
        )

    def on_train_start(self) -> None:
        # On resume, options override the restored state of the optimizers.
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group.update(lr=self.rate.learning_rate, betas=self.betas)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        generators = sample_generators(batch_idx, self.global_step, batch["index"])
        frame = randint(clip.shape[2], len(clip), generators).to(clip.device)
        of_autoencoder, of_discriminators = self.optimizers()  # type: ignore[attr-defined]
        # `global_step` counts the steps of both optimizers, and every batch is a step of one of them.
        adversarial = self.adversarial_start is not None and self.global_step >= self.adversarial_start
        train_discriminators = adversarial and (self.global_step - (self.adversarial_start or 0)) % 2 == 1
        if train_discriminators:
            loss, optimizer = self._discriminator_loss(clip, frame, generators), of_discriminators
        else:
            loss, optimizer = self._autoencoder_loss(clip, frame, adversarial, generators), of_autoencoder
            self._set_learning_rate(of_autoencoder)
        if batch_idx % self.accumulate_grad_batches == 0:
            optimizer.zero_grad()
        self.manual_backward(loss / self.accumulate_grad_batches)
        if (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch:
            if train_discriminators:
                # In float16 gradients are still multiplied by the scale of the loss here.
                scaler = getattr(self.trainer.precision_plugin, "scaler", None)
                self.loss.clip_gradients(self.discriminator_clip * (1.0 if scaler is None else scaler.get_scale()))
            optimizer.step()

    def _set_learning_rate(self, optimizer: Any) -> None:
        rate = self.rate.learning_rate * self.rate.factor(self.global_step, self.trainer.max_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        self.log("train/learning_rate", torch.tensor(rate))

    def _reconstruct(self, clip: Tensor, generator: Generators) -> Tensor:
        return self.autoencoder.decode(self.add_noise(self.autoencoder.encode(clip), generator))

    def _autoencoder_loss(self, clip: Tensor, frame: Tensor, adversarial: bool, generator: Generators) -> Tensor:
        reconstruction = self._reconstruct(clip, generator)
        loss, terms = self.loss.generator(clip, reconstruction, frame, adversarial)
        logs = {"loss": loss, **terms, "psnr": mean_psnr(reconstruction, clip)}
        self.log("train/loss", logs.pop("loss").detach(), prog_bar=True)
        self.log_dict({f"train/{name}": value.detach() for name, value in logs.items()})
        self.log("psnr", logs["psnr"].detach(), prog_bar=True, logger=False)
        return loss

    def _discriminator_loss(self, clip: Tensor, frame: Tensor, generator: Generators) -> Tensor:
        with torch.no_grad():
            reconstruction = self._reconstruct(clip, generator)
        loss, said = self.loss.discriminator(clip, reconstruction, frame)
        self.log_dict({"train/discriminator": loss.detach(), **{f"train/{key}": value for key, value in said.items()}})
        return self.loss.adversarial_weight * loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        path = getattr(self._trainer, "ckpt_path", "it")
        check_shapes(self.state_dict(), checkpoint["state_dict"], path)
        check_finite(checkpoint["state_dict"], "ckpt_path", path)
        zero_mean_motion = checkpoint["hyper_parameters"]["autoencoder"]["init_args"].get("zero_mean_motion", False)
        check_same_value("VideoAutoencoder.zero_mean_motion", self.autoencoder.zero_mean_motion, zero_mean_motion)
        check_same("AutoencoderModule.optimizer", self.optimizer, checkpoint)
