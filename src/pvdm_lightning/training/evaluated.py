"""The losses of stage two on held-out clips, computed with the EMA."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pvdm_lightning.diffusion import NoiseSchedule, PredictionType, denoising_loss
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization
from pvdm_lightning.pipeline.sampling import Sampling
from pvdm_lightning.pipeline.video_pipeline import VideoPipeline
from pvdm_lightning.random import make_generator, randn
from pvdm_lightning.training.first_stage import FirstStageModule
from pvdm_lightning.training.means import Means
from pvdm_lightning.training.plane_images import plane_images
from pvdm_lightning.training.sharding import gather, release


class EvaluatedModule(FirstStageModule):
    """Validates and tests a denoiser: its loss without a condition, and given the previous clip.

    Attributes:
        num_evaluated: Clips behind each mean of the last evaluation.
        on_denoise: Called after each call of the denoiser in sampling.
    """

    schedule: NoiseSchedule
    normalization: LatentNormalization | None
    prediction_type: PredictionType

    def __init__(self) -> None:
        super().__init__()
        self.num_evaluated: dict[str, int] = {}
        self.on_denoise: Callable[[], None] | None = None

    @property
    def pipeline(self) -> VideoPipeline:
        """Inference with the EMA of the denoiser."""
        pipeline = VideoPipeline(
            self.load_autoencoder(), self.ema.network, self.schedule, self.normalization, self.prediction_type
        )
        pipeline.on_denoise = self.on_denoise
        return pipeline

    def _loss(self, network: TriplaneUNet, z_0: Tensor, condition: Tensor | None, t: Tensor, noise: Tensor) -> Tensor:
        return denoising_loss(network, self.schedule, z_0, condition, t, noise, self.prediction_type)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._evaluate(batch)

    def on_validation_epoch_start(self) -> None:
        self._means = Means(("loss", "loss_next_clip"), self.device)
        gather(self.ema.network)

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def on_validation_epoch_end(self, prefix: str = "val") -> None:
        means = self._means.reduce(self.trainer.strategy)
        self.num_evaluated = {name: count for name, (_, count) in means.items()}
        release(self.ema.network)  # callbacks, which sample for the dashboard, came before
        for name, (mean, _) in means.items():
            self.log(f"{prefix}/{name}", mean, prog_bar=name == "loss", sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.on_validation_epoch_end("test")

    def clips_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panel of training clips for the dashboard, uint8 [N 3 S H W]; of cached latents what they decode to."""
        return {"clips": self._clips(batch["clip"][:num_videos], "training clip")}

    def sample_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, dict[str, Tensor]]:
        """Panels for the dashboard: held-out clips, samples of two clips, and their planes as pictures."""
        clip = batch["clip"][:num_videos]
        indices = list(range(len(clip)))
        frames = self.clip_shape[0]
        sampling = Sampling(num_frames=2 * frames, sampler="dpm_solver", num_inference_steps=20)
        samples = self.pipeline.generate(indices, sampling)
        first = self.load_autoencoder().encode(samples[:, :, :frames])
        shape = self.load_autoencoder().autoencoder.latent_shape
        seeds = f"samples 0 to {indices[-1]} of seed {sampling.seed}; the second half continues the first"
        return {
            "clips": self._clips(clip, "held-out clip"),
            "samples": {seeds: samples},
            "planes": plane_images(Triplane.from_sequence(first, shape)),
        }

    def _clips(self, clip: Tensor, name: str) -> dict[str, Tensor]:
        """A row of clips under their caption, uint8 [N 3 S H W]."""
        caption = f"decoded latent of a {name}" if clip.dim() == 3 else name
        return {caption: self.load_autoencoder().to_pixels(clip)}

    def _evaluate(self, batch: dict[str, Tensor]) -> None:
        """Losses of the EMA; random numbers follow from the index of the video alone."""
        generators = [make_generator(0, index) for index in batch["index"].tolist()]
        z_0 = self.pipeline.to_latent(batch["clip"])
        times = [
            torch.randint(self.schedule.num_train_timesteps, (1,), generator=generator) for generator in generators
        ]
        t, noise = torch.cat(times).to(z_0.device), randn(z_0.shape, generators, z_0.device)
        self._means.add("loss", self._loss(self.ema.network, z_0, None, t, noise))
        chosen = batch["has_previous"].nonzero()[:, 0].to(z_0.device)
        if len(chosen):
            condition = self.pipeline.to_latent(batch["previous"][chosen])
            draws = z_0[chosen], condition, t[chosen], noise[chosen]
            self._means.add("loss_next_clip", self._loss(self.ema.network, *draws))
