"""Stage one: trains the autoencoder with L1 + LPIPS, then with two discriminators (PVDM, section 3.1 and appendix)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from typing_extensions import Self

from pvdm_lightning.config import register_to_config
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.foreign_config import default_arguments
from pvdm_lightning.losses import AutoencoderLoss
from pvdm_lightning.metrics.reconstruction import mean_psnr, psnr_per_video, ssim_per_video
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.compilation import compile_parts
from pvdm_lightning.pipeline.checkpoint import check_same, check_same_value, check_shapes, read_checkpoint
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.random import Generators, randint, sample_generators
from pvdm_lightning.training.batches import move_but_host_values
from pvdm_lightning.training.dashboard import Means, plane_images
from pvdm_lightning.training.distributed import use_global_batch_norm
from pvdm_lightning.training.latent_noise import LatentNoise
from pvdm_lightning.training.module_config import constructor_arguments, hyper_parameters
from pvdm_lightning.training.optimization import OptimizerName, WarmupDecay, make_optimizer
from pvdm_lightning.training.start_checks import check_clip_shape, check_pixels, check_precision


class AutoencoderModule(LightningModule):
    """Trains a VideoAutoencoder.

    Each batch, or every `accumulate_grad_batches` batches, is one optimizer step. Until step `adversarial_start` only
    the autoencoder is trained; from then on autoencoder and discriminators are trained in alternate steps.

    Args:
        autoencoder: The network.
        loss: What it minimizes, with the discriminators. Default: an `AutoencoderLoss` of `loss_options`.
        adversarial_start: Step at which the adversarial phase begins; null trains without one.
        latent_noise: Train the decoder on latents with noise of up to this share of their std, so that it forgives what
            stage two does not hit exactly. 0, as in the paper, is none.
        optimizer: Optimizer of the autoencoder: adamw as in the paper, or muon, which learns the same in fewer steps.
            The discriminators keep AdamW.
        learning_rate: Learning rate of autoencoder and discriminators.
        warmup_steps: Steps over which the autoencoder's learning rate grows linearly from 0.
        decay_steps: Last steps of the run (max_steps of the trainer), over which it falls linearly to 0.
        betas: Coefficients of AdamW; the authors' 0.5 suits the adversarial phase, 0.9 and 0.99 reconstruct sooner.
        discriminator_clip: Largest norm of each discriminator's gradient.
        accumulate_grad_batches: Batches that share an optimizer step.
        **loss_options: Arguments of `AutoencoderLoss`, if `loss` is not given.

    Raises:
        InvalidArgumentError: A number is out of range, or there are options beside a loss.
    """

    clips_per_sample = 1
    config: dict[str, Any]
    options_of: ClassVar[type] = AutoencoderLoss
    """The class that takes the constructor's ``**loss_options``."""

    @register_to_config
    def __init__(
        self,
        autoencoder: VideoAutoencoder,
        loss: AutoencoderLoss | None = None,
        adversarial_start: int | None = None,
        latent_noise: float = 0.0,
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 1e-4,
        warmup_steps: int = 0,
        decay_steps: int = 0,
        betas: tuple[float, float] = (0.5, 0.9),
        discriminator_clip: float = 1.0,
        accumulate_grad_batches: int = 1,
        **loss_options: Any,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        check_at_least("AutoencoderModule.adversarial_start", adversarial_start, 0)
        check_at_least("AutoencoderModule.accumulate_grad_batches", accumulate_grad_batches, 1)
        self.autoencoder = autoencoder
        self.loss = AutoencoderLoss(**loss_options) if loss is None else loss
        self._record_loss(loss, loss_options)
        self.save_hyperparameters(hyper_parameters(self))
        self.rate = WarmupDecay(learning_rate, warmup_steps, decay_steps)
        self.optimizer = optimizer
        self.betas = (betas[0], betas[1])
        self.adversarial_start = adversarial_start
        self.discriminator_clip = discriminator_clip
        self.add_noise = LatentNoise(latent_noise)
        self.accumulate_grad_batches = accumulate_grad_batches

    def _record_loss(self, given: AutoencoderLoss | None, options: dict[str, Any]) -> None:
        """Let `config` hold a loss that was given, or else every option of the loss that was built."""
        if given is None:
            self.config |= self.loss.config
            return
        defaults = default_arguments(AutoencoderLoss)
        for name, value in options.items():
            self.config.pop(name)
            if value != defaults[name]:  # a command line passes all defaults on
                problem, remedy = "stands beside a loss, which has its own", "Leave one of them out."
                raise InvalidArgumentError(f"AutoencoderLoss.{name}", value, problem, remedy)

    # Start of a run

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the module takes."""
        return self.autoencoder.clip_shape

    def compile_networks(self, **options: Any) -> None:
        """Compile parts of the autoencoder in place; `options` as of torch.compile."""
        compile_parts(self.autoencoder.parts_to_compile(), **options)

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)
        check_pixels(self.trainer)
        check_clip_shape(self.trainer, self.clip_shape)
        if stage != "fit":
            return
        self.rate.check_end(self.trainer.max_steps)
        self.loss.load_perceptual(quiet=not self.trainer.is_global_zero)
        strategy = self.trainer.strategy
        if self.trainer.world_size > 1:
            use_global_batch_norm(self.loss.discriminators)
        if self.adversarial_start is None:
            self.loss.discriminators.requires_grad_(False)
        elif isinstance(strategy, DDPStrategy):
            # Each step leaves the weights of the other networks without a gradient.
            strategy._ddp_kwargs.setdefault("find_unused_parameters", True)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        move = super().transfer_batch_to_device
        return move_but_host_values(batch, lambda moving: move(moving, device, dataloader_idx))

    # Training

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        rate = self.rate.learning_rate
        return (
            make_optimizer(self.optimizer, self.autoencoder, rate, self.betas),
            make_optimizer("adamw", self.loss.discriminators, rate, self.betas),
        )

    def on_train_start(self) -> None:
        # On resume, options override the restored optimizer state.
        for optimizer in self.optimizers():  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group.update(lr=self.rate.learning_rate, betas=self.betas)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        generators = sample_generators(batch_idx, self.global_step, batch["index"])
        frame = randint(clip.shape[2], len(clip), generators).to(clip.device)
        autoencoder_optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        # `global_step` counts the steps of both optimizers, and every batch is a step of one of them.
        adversarial = self.adversarial_start is not None and self.global_step >= self.adversarial_start
        train_discriminators = adversarial and (self.global_step - (self.adversarial_start or 0)) % 2 == 1
        if train_discriminators:
            loss, optimizer = self._discriminator_loss(clip, frame, generators), discriminator_optimizer
        else:
            loss, optimizer = self._autoencoder_loss(clip, frame, adversarial, generators), autoencoder_optimizer
            self._set_learning_rate(autoencoder_optimizer)
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

    def _autoencoder_loss(self, clip: Tensor, frame: Tensor, adversarial: bool, generator: Generators) -> Tensor:
        reconstruction = self._reconstruct_noisy(clip, generator)
        loss, terms = self.loss.generator(clip, reconstruction, frame, adversarial)
        logs = {"loss": loss, **terms, "psnr": mean_psnr(reconstruction, clip)}
        self.log("train/loss", logs.pop("loss").detach())
        self.log_dict({f"train/{name}": value.detach() for name, value in logs.items()})
        self.log("psnr", logs["psnr"].detach(), logger=False)
        return loss

    def _discriminator_loss(self, clip: Tensor, frame: Tensor, generator: Generators) -> Tensor:
        with torch.no_grad():
            reconstruction = self._reconstruct_noisy(clip, generator)
        loss, verdicts = self.loss.discriminator(clip, reconstruction, frame)
        logs = {"discriminator": loss.detach(), **verdicts}
        self.log_dict({f"train/{name}": value for name, value in logs.items()})
        return self.loss.adversarial_weight * loss

    def _reconstruct_noisy(self, clip: Tensor, generator: Generators) -> Tensor:
        return self.autoencoder.decode(self.add_noise(self.autoencoder.encode(clip), generator))

    # Validation, test, prediction and the dashboard: reconstructions of clips

    def on_validation_epoch_start(self) -> None:
        self._means = Means(("l1", "psnr", "ssim", "lpips"), self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        reconstruction = self.autoencoder(clip)
        self._means.add("l1", (reconstruction - clip).abs().flatten(1).mean(dim=1))
        self._means.add("psnr", psnr_per_video(to_uint8(reconstruction), batch["clip"]))
        self._means.add("ssim", ssim_per_video(to_uint8(reconstruction), batch["clip"]))
        lpips = self.loss.lpips_per_clip(reconstruction, clip)
        if lpips is not None:
            self._means.add("lpips", lpips)

    def on_validation_epoch_end(self) -> None:
        for name, (mean, _) in self._means.reduce(self.trainer.strategy).items():
            self.log(f"val/{name}", mean, prog_bar=name == "psnr", sync_dist=True)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Reconstructions uint8 [B 3 S H W]; `evaluation.ReconstructionEvaluation` measures them."""
        return {"reconstruction": self.reconstruct(batch["clip"])}

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Original and reconstruction side by side: uint8 [B 3 S H 2W]."""
        clip = batch["clip"]
        return {"video": torch.cat([clip, self.reconstruct(clip)], dim=4), "index": batch["index"]}

    @torch.no_grad()
    def reconstruct(self, clip: Tensor) -> Tensor:
        """Clip uint8 [B 3 S H W] -> its reconstruction, likewise."""
        return to_uint8(self.autoencoder(to_signed_float(clip)))

    def clips_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panel of training clips for the dashboard: clips and reconstructions, uint8 [N 3 S H W]."""
        clip = batch["clip"][:num_videos]
        return {"reconstruction": {"training clip": clip, "reconstruction": self.reconstruct(clip)}}

    @torch.no_grad()
    def sample_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panels of held-out clips for the dashboard: rows of uint8 [N 3 S H W], and the planes as pictures."""
        clip = batch["clip"][:num_videos]
        rows = {"held-out clip": clip, "reconstruction": self.reconstruct(clip)}
        return {"reconstruction": rows, "planes": plane_images(self.autoencoder.encode(to_signed_float(clip)))}

    # Checkpoints

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: torch.device | str | None = None, **arguments: Any
    ) -> Self:
        """Load the module of a checkpoint, without importing anything that the file names.

        Args:
            checkpoint_path: Path of a file that `fit` wrote.
            map_location: Device of the module. Default: the CPU.
            **arguments: Arguments of the constructor, in place of those in the file.

        Raises:
            InvalidArgumentError: The file is no checkpoint of this class, or holds weights that are NaN or infinite.
        """
        checkpoint = read_checkpoint(checkpoint_path, "checkpoint_path", expected=cls.__name__)
        module = cls(**{**constructor_arguments(checkpoint["hyper_parameters"]), **arguments})
        module.check_checkpoint(checkpoint, checkpoint_path)
        module.load_state_dict(checkpoint["state_dict"])
        return module if map_location is None else module.to(map_location)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.check_checkpoint(checkpoint, self.trainer.ckpt_path)

    def check_checkpoint(self, checkpoint: Mapping[str, Any], path: object) -> None:
        """Raise `InvalidArgumentError` unless a checkpoint was trained with networks and options like these."""
        check_shapes(self.state_dict(), checkpoint["state_dict"], path)
        zero_mean_motion = checkpoint["hyper_parameters"]["autoencoder"]["init_args"].get("zero_mean_motion", False)
        check_same_value("VideoAutoencoder.zero_mean_motion", self.autoencoder.zero_mean_motion, zero_mean_motion)
        check_same("AutoencoderModule.optimizer", self.optimizer, checkpoint)
