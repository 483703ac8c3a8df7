"""A callback of your own: log how much samples move, after each validation of stage two."""

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pvdm_lightning import LatentDiffusionModule, Synthetic, TriplaneUNet, VideoAutoencoder
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling


class SampleMotion(Callback):
    """Logs val/motion: the mean difference of neighbouring frames of a few samples, in grey levels.

    Args:
        num_videos: Samples for each figure.
        num_inference_steps: Steps of DPM-Solver++ for each.
    """

    def __init__(self, num_videos: int = 4, num_inference_steps: int = 10) -> None:
        self.num_videos, self.num_inference_steps = num_videos, num_inference_steps

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, LatentDiffusionModule) or trainer.sanity_checking:
            return
        sampling = Sampling(sampler="dpm_solver", num_inference_steps=self.num_inference_steps)
        videos = pl_module.pipeline.generate(range(self.num_videos), sampling)  # with the EMA; the same in each process
        pl_module.log("val/motion", videos.double().diff(dim=2).abs().mean(), sync_dist=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    autoencoder = VideoAutoencoder(4, 16, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1)  # train it first
    module = LatentDiffusionModule(TriplaneUNet(base_channels=32, channel_multipliers=(1,), heads=2), warmup_steps=0)
    module.attach_first_stage(FrozenAutoencoder(autoencoder))
    data = Synthetic(num_videos=8, num_val_videos=2, frames=4, resolution=16, clips_per_sample=2, num_workers=0)
    # On the command line: --trainer.callbacks+=callback.SampleMotion
    trainer = Trainer(
        max_steps=2, val_check_interval=2, check_val_every_n_epoch=None, callbacks=[SampleMotion(2, 2)], logger=False,
        enable_progress_bar=False, enable_checkpointing=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    print(float(trainer.callback_metrics["val/motion"]) >= 0)
