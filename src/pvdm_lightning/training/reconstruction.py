"""What stage one does beside training: reconstruct clips, and measure how well."""

from __future__ import annotations

import torch
from torch import Tensor

from pvdm_lightning.losses import AutoencoderLoss
from pvdm_lightning.metrics.reconstruction import psnr_per_video, ssim_per_video
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.training.means import Means
from pvdm_lightning.training.plane_images import plane_images
from pvdm_lightning.training.restored import RestoredModule


class ReconstructionModule(RestoredModule):
    """Validates, tests and predicts with an autoencoder: reconstructions of held-out clips."""

    autoencoder: VideoAutoencoder
    loss: AutoencoderLoss
    clips_per_sample = 1

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the module takes."""
        return self.autoencoder.clip_shape

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
