"""What stage one does beside training: reconstruct clips, and measure how well."""

from __future__ import annotations

import torch
from torch import Tensor

from pvdm_lightning.metrics.reconstruction import psnr_per_video
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.training.means import Means
from pvdm_lightning.training.restored import RestoredModule


class ReconstructionModule(RestoredModule):
    """Validates, tests and predicts with an autoencoder: reconstructions of held-out clips."""

    autoencoder: VideoAutoencoder
    clips_per_sample = 1

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the module takes."""
        return self.autoencoder.clip_shape

    def on_validation_epoch_start(self) -> None:
        self._means = Means(("l1", "psnr"), self.device)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clip = to_signed_float(batch["clip"])
        reconstruction = self.autoencoder(clip)
        self._means.add("l1", (reconstruction - clip).abs().flatten(1).mean(dim=1))
        self._means.add("psnr", psnr_per_video(to_uint8(reconstruction), batch["clip"]))

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

    def sample_for_logging(self, batch: dict[str, Tensor], num_videos: int) -> dict[str, Tensor]:
        """Videos for the dashboard, uint8 [N 3 S H W] each."""
        real = batch["clip"][:num_videos]
        return {"real": real, "reconstruction": self.reconstruct(real)}
