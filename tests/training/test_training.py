"""Each stage overfits one tiny batch: the loss falls far below its start."""

import pytest
import torch
from lightning import Trainer, seed_everything
from torch.nn.utils import get_total_norm

from pvdm_lightning import Synthetic
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling
from pvdm_lightning.training import AutoencoderModule, LatentDiffusionModule


def autoencoder():
    return VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32)


def fit(module, steps, **more):
    data = Synthetic(num_videos=2, num_val_videos=2, video_frames=8, batch_size=2, num_workers=0)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        overfit_batches=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        **more,
    )
    losses = []
    own_step = module.training_step

    def step(batch, batch_idx):
        result = own_step(batch, batch_idx)
        losses.append(float(trainer.callback_metrics["train/loss"]))
        return result

    module.training_step = step
    data.default_to(module.clip_shape, module.clips_per_sample)
    trainer.fit(module, datamodule=data)
    return losses


def test_stage_one_overfits_one_batch():
    seed_everything(0)
    losses = fit(AutoencoderModule(autoencoder(), perceptual_weight=0, learning_rate=3e-3), 150)
    assert sum(losses[-10:]) / 10 < 0.3 * losses[0]


def test_stage_two_overfits_one_batch_and_keeps_the_autoencoder():
    seed_everything(0)
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1, 1), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, learning_rate=3e-3, warmup_steps=10, ema_decay=0.9)
    frozen = FrozenAutoencoder(autoencoder())
    before = {key: value.clone() for key, value in frozen.state_dict().items()}
    module.attach_first_stage(frozen)
    losses = fit(module, 80)
    assert losses[0] == pytest.approx(1, abs=0.3)  # a network that predicts nothing
    assert sum(losses[-30:]) / 30 < 0.5
    for key, value in module.autoencoder.state_dict().items():
        assert torch.equal(value, before[key]), key
    video = module.pipeline.generate([0, 1], Sampling(num_frames=6, num_inference_steps=3))
    assert video.shape == (2, 3, 6, 16, 16)
    assert video.dtype == torch.uint8


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_of_a_fused_optimizer_are_clipped(precision):
    """Lightning refuses to in bfloat16, for the scale of float16 that it does not have."""
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    norms, clip = [], module.configure_gradient_clipping

    def clip_and_measure(*args, **kwargs):
        for _ in range(2):
            norms.append(float(get_total_norm([weight.grad for weight in module.denoiser.parameters()])))
            if len(norms) == 1:
                clip(*args, **kwargs)

    module.configure_gradient_clipping = clip_and_measure
    fit(module, 1, precision=precision, gradient_clip_val=1e-3)
    (group,) = module.optimizers().optimizer.param_groups
    assert group["fused"]
    assert norms[0] > 1e-2 and norms[1] == pytest.approx(1e-3, rel=1e-3)
