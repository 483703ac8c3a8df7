"""Stage one: trains the autoencoder with L1 + LPIPS, then with two discriminators (PVDM, section 3.1 and appendix)."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import check_at_least
from pvdm_lightning.losses import (
    PerceptualLoss,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
)
from pvdm_lightning.metrics.reconstruction import psnr_per_video
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.discriminators import PatchDiscriminator
from pvdm_lightning.pipeline.checkpoint import check_shapes
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.random import make_generator, run_seed
from pvdm_lightning.training import hyper_parameters
from pvdm_lightning.training.clip_size import check_clip_shape
from pvdm_lightning.training.latent_source import check_pixels
from pvdm_lightning.training.learning_rate import check_decay, check_learning_rate, warmup_and_decay
from pvdm_lightning.training.precision import check_precision

logger = logging.getLogger(__name__)
_LPIPS = "AutoencoderModule.lpips_weights"


class AutoencoderModule(LightningModule):
    """Trains a VideoAutoencoder.

    One optimizer step a batch (or every `accumulate_grad_batches`). Up to `adversarial_start` steps the autoencoder
    alone learns to reconstruct; from then on autoencoder and discriminators take turns.

    Args:
        autoencoder: The network.
        pixel_loss: Distance of pixels: l1 as in the paper, or l2, which learns small moving things sooner.
        pixel_weight: Weight of the distance of pixels.
        perceptual_weight: Weight of LPIPS on one random frame of each clip; 0 trains without it.
        adversarial_weight: Weight of the hinge terms.
        feature_weight: Weight of the discriminators' feature matching.
        adversarial_start: Step at which the adversarial phase begins; null trains without one. The authors stop it
            after 8,000 to 14,000 iterations of batch 8: it diverges if run on.
        discriminator_channels: Channels of the discriminators' first layer.
        learning_rate: Of both AdamW optimizers.
        warmup_steps: Steps over which the autoencoder's learning rate grows linearly from 0.
        decay_steps: Last steps of the run (max_steps of the trainer), over which it falls linearly to 0.
        betas: Of both; the authors' 0.5 suits the adversarial phase, 0.9 and 0.99 reconstruct sooner.
        discriminator_clip: Largest norm of each discriminator's gradient.
        accumulate_grad_batches: Batches that share an optimizer step.
        lpips_weights: Path of vgg16-397923af.pth; null looks for it in the cache folders.
    """

    clips_per_sample = 1

    config: dict[str, Any]

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
        check_learning_rate("AutoencoderModule.learning_rate", learning_rate)
        for name, count, least in (
            ("adversarial_start", adversarial_start, 0),
            ("discriminator_channels", discriminator_channels, 1),
            ("warmup_steps", warmup_steps, 0),
            ("decay_steps", decay_steps, 0),
            ("accumulate_grad_batches", accumulate_grad_batches, 1),
        ):
            check_at_least(f"AutoencoderModule.{name}", count, least)
        self.save_hyperparameters(hyper_parameters.of_module(self))
        self.autoencoder = autoencoder
        self.discriminators = nn.ModuleDict(
            {
                "frame": PatchDiscriminator(2, discriminator_channels),
                "clip": PatchDiscriminator(3, discriminator_channels),
            }
        )
        self.pixel_loss = pixel_loss
        self.pixel_weight = pixel_weight
        self.perceptual_weight = perceptual_weight
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.adversarial_start = adversarial_start
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps
        self.betas = (betas[0], betas[1])
        self.discriminator_clip = discriminator_clip
        self.accumulate_grad_batches = accumulate_grad_batches
        self.lpips_weights = lpips_weights
        # Not registered: 60 MB of frozen VGG weights have no place in every checkpoint.
        self._perceptual: list[PerceptualLoss] = []

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the module takes."""
        return self.autoencoder.clip_shape

    def compile_networks(self, **options: Any) -> None:
        """Compile the autoencoder in place, so that the keys of checkpoints stay; `options` as of torch.compile."""
        self.autoencoder.compile_parts(**options)

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)
        check_pixels(self.trainer)
        check_clip_shape(self.trainer, self.clip_shape, "the autoencoder")
        if stage == "fit":
            check_decay(self.decay_steps, self.trainer.max_steps)
            self._find_perceptual_loss()
            strategy = self.trainer.strategy
            if isinstance(strategy, DDPStrategy):
                # Each turn leaves the other network's weights without a gradient.
                strategy._ddp_kwargs.setdefault("find_unused_parameters", True)

    def _find_perceptual_loss(self) -> None:
        if self.perceptual_weight == 0:
            _say("training without LPIPS (AutoencoderModule.perceptual_weight 0)", logging.INFO)
            return
        loss = PerceptualLoss.find(self.lpips_weights, _LPIPS)
        if loss is None:
            _say(f"training without LPIPS: no VGG-16 weights found. {PerceptualLoss.how_to_add(_LPIPS)}")
        self._perceptual = [] if loss is None else [loss]

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        def adamw(network: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.AdamW(network.parameters(), lr=self.learning_rate, betas=self.betas, fused=True)

        return adamw(self.autoencoder), adamw(self.discriminators)

    def on_train_start(self) -> None:
        # A run that goes on takes its own options, not those that the optimizers' states came with.
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group.update(lr=self.learning_rate, betas=self.betas)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        generator = make_generator(run_seed(), self.global_rank, self.global_step, batch_idx)
        frame = torch.randint(clip.shape[2], (len(clip),), generator=generator).to(clip.device)
        generator_optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        first, last = batch_idx % self.accumulate_grad_batches == 0, self._is_last_of_step(batch_idx)

        if self._is_discriminators_turn():
            loss, optimizer = self._discriminator_loss(clip, frame), discriminator_optimizer
        else:
            loss, optimizer = self._autoencoder_loss(clip, frame), generator_optimizer
            self._set_learning_rate(generator_optimizer)
        if first:
            optimizer.zero_grad()
        self.manual_backward(loss / self.accumulate_grad_batches)
        if last:
            if optimizer is discriminator_optimizer:
                scaler = getattr(self.trainer.precision_plugin, "scaler", None)
                self._clip_discriminators(1.0 if scaler is None else scaler.get_scale())
            optimizer.step()

    def _clip_discriminators(self, scale: float) -> None:
        """Bound the norm of each one's gradient; in float16 gradients still carry the scale of the loss here."""
        for discriminator in self.discriminators.values():
            nn.utils.clip_grad_norm_(discriminator.parameters(), self.discriminator_clip * scale)

    def _set_learning_rate(self, optimizer: LightningOptimizer) -> None:
        factor = warmup_and_decay(self.global_step, self.warmup_steps, self.decay_steps, self.trainer.max_steps)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        self.log("train/learning_rate", torch.tensor(self.learning_rate * factor))

    def _is_last_of_step(self, batch_idx: int) -> bool:
        return (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch

    @property
    def _is_adversarial(self) -> bool:
        return self.adversarial_start is not None and self.global_step >= self.adversarial_start

    def _is_discriminators_turn(self) -> bool:
        # `global_step` counts the steps of both optimizers, and every batch is a step of one of them.
        return self._is_adversarial and (self.global_step - (self.adversarial_start or 0)) % 2 == 1

    def _autoencoder_loss(self, clip: Tensor, frame: Tensor) -> Tensor:
        reconstruction = self.autoencoder(clip)
        distance = F.l1_loss if self.pixel_loss == "l1" else F.mse_loss
        pixel = distance(reconstruction, clip)
        loss = self.pixel_weight * pixel
        logs = {f"train/{self.pixel_loss}": pixel, "train/psnr": _psnr(reconstruction, clip)}
        if self._perceptual:
            perceptual = self._perceptual[0].to(clip.device)(_pick(reconstruction, frame), _pick(clip, frame))
            loss = loss + self.perceptual_weight * perceptual
            logs["train/lpips"] = perceptual
        if self._is_adversarial:
            # Their weights are not the ones that learn now: no gradient is computed for them.
            self.discriminators.requires_grad_(False)
            adversarial, matching = clip.new_zeros(()), clip.new_zeros(())
            for real, fake, name in self._views(clip, reconstruction, frame):
                logits, features = self.discriminators[name](fake)
                with torch.no_grad():
                    _, real_features = self.discriminators[name](real)
                adversarial = adversarial + generator_hinge(logits)
                matching = matching + feature_matching(real_features, features)
            self.discriminators.requires_grad_(True)
            loss = loss + self.adversarial_weight * adversarial + self.feature_weight * matching
            logs |= {"train/adversarial": adversarial, "train/feature_matching": matching}
        self.log_dict({"train/loss": loss.detach(), **{key: value.detach() for key, value in logs.items()}})
        self.log("psnr", logs["train/psnr"].detach(), prog_bar=True, logger=False)
        return loss

    def _discriminator_loss(self, clip: Tensor, frame: Tensor) -> Tensor:
        with torch.no_grad():
            reconstruction = self.autoencoder(clip)
        loss = clip.new_zeros(())
        for real, fake, name in self._views(clip, reconstruction, frame):
            loss = loss + discriminator_hinge(self.discriminators[name](real)[0], self.discriminators[name](fake)[0])
        self.log("train/discriminator", loss.detach())
        return self.adversarial_weight * loss

    @staticmethod
    def _views(clip: Tensor, reconstruction: Tensor, frame: Tensor) -> list[tuple[Tensor, Tensor, str]]:
        """What each discriminator sees: (real, reconstructed, its name)."""
        return [(_pick(clip, frame), _pick(reconstruction, frame), "frame"), (clip, reconstruction, "clip")]

    def on_validation_epoch_start(self) -> None:
        self._sums = torch.zeros(3, device=self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        reconstruction = self.autoencoder(clip)
        distances = (reconstruction - clip).abs().flatten(1).mean(dim=1)
        psnr = psnr_per_video(to_uint8(reconstruction), batch["clip"])
        self._sums += torch.stack([distances.sum(), psnr.sum(), psnr.new_tensor(len(clip))])

    def on_validation_epoch_end(self) -> None:
        # Means over the clips of all processes: of one alone, all of whose clips are broken, there would be none.
        distance, psnr, count = self.trainer.strategy.reduce(self._sums, reduce_op="sum").tolist()
        if count:
            self.log("val/l1", distance / count, sync_dist=True)
            self.log("val/psnr", psnr / count, prog_bar=True, sync_dist=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Reconstructions uint8 [B 3 S H W]; `evaluation.ReconstructionEvaluation` measures them."""
        return {"reconstruction": self.reconstruct(batch["clip"])}

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Original and reconstruction side by side: uint8 [B 3 S H 2W]."""
        clip = batch["clip"]
        return {"video": torch.cat([clip, self.reconstruct(clip)], dim=4), "index": batch["index"]}

    @torch.no_grad()
    def reconstruct(self, clip: Tensor) -> Tensor:
        """Clip uint8 [B 3 S H W] -> its reconstruction, the same."""
        return to_uint8(self.autoencoder(to_signed_float(clip)))

    def sample_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, Tensor]:
        """Videos for the dashboard, uint8 [N 3 S H W] each."""
        clip = batch["clip"][:num_videos]
        return {"real": clip, "reconstruction": self.reconstruct(clip)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_shapes(self.state_dict(), checkpoint["state_dict"], getattr(self._trainer, "ckpt_path", "it"))


def _pick(clip: Tensor, frame: Tensor) -> Tensor:
    """One frame of each clip: [B 3 S H W], [B] -> [B 3 H W]."""
    return clip[torch.arange(len(clip), device=clip.device), :, frame]


def _psnr(reconstruction: Tensor, clip: Tensor) -> Tensor:
    """Mean over clips of the PSNR in dB, pixels in [0, 1] (a distance in [-1, 1] is twice as long)."""
    error = ((reconstruction - clip) / 2).square().flatten(1).mean(dim=1)
    return -10 * error.clamp_min(1e-10).log10().mean()


@rank_zero_only
def _say(message: str, level: int = logging.WARNING) -> None:
    logger.log(level, message)
