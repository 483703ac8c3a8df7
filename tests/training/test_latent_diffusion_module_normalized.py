import pytest
import torch
from lightning import Trainer

from pvdm_lightning import Synthetic
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling
from pvdm_lightning.training import LatentDiffusionModule


@pytest.fixture
def module():
    torch.manual_seed(0)
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    network = VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)
    module = LatentDiffusionModule(unet, normalize_latents=True, warmup_steps=1)
    module.attach_first_stage(FrozenAutoencoder(network))
    return module


def test_a_run_measures_once_and_its_samples_are_in_pixels_again(module, tmp_path):
    data = Synthetic(num_videos=8, num_val_videos=2, video_frames=8, batch_size=4)
    data.default_to(module.clip_shape, module.clips_per_sample)
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_steps=1, enable_checkpointing=False, limit_val_batches=0, **quiet)
    trainer.fit(module, datamodule=data)
    mean = module.normalization.mean.clone()
    assert module.normalization.measured
    assert mean.abs().max() > 0
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    again = LatentDiffusionModule.load_from_checkpoint(path, map_location="cpu")
    assert torch.equal(again.normalization.mean, mean)

    z_0 = module.first_stage.to_latent(next(iter(data.train_dataloader()))["clip"][:1])
    normal = module.normalization(z_0, module.denoiser.latent_shape)

    def knowing(z_t, t, condition=None):
        alpha_bar = module.schedule.alpha_bar[t][:, None, None]
        return (z_t - alpha_bar.sqrt() * normal) / (1 - alpha_bar).sqrt()

    again.ema.network.forward = knowing
    video = again.pipeline.generate([0], Sampling(num_frames=4, num_inference_steps=5))
    assert (video.int() - module.first_stage.decode(z_0).int()).abs().max() <= 1

    trainer = Trainer(max_steps=3, enable_checkpointing=False, limit_val_batches=0, **quiet)
    trainer.fit(again, datamodule=data, ckpt_path=path, weights_only=True)
    assert torch.equal(again.normalization.mean, mean)
