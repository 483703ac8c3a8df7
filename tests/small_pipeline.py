"""A small pipeline of random weights."""

import torch
from torch import nn

from pvdm_lightning import NoiseSchedule, TriplaneUNet, VideoAutoencoder, VideoPipeline
from pvdm_lightning.pipeline import FrozenAutoencoder, Sampling
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization

QUICK = Sampling(sampler="dpm_solver", num_inference_steps=3)
"""The defaults of the pipelines here."""


def build(sampling=QUICK, normalized=True, **options):
    """A pipeline of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        autoencoder = VideoAutoencoder(
            frames=4, resolution=(16, 16), patch=8, latent_channels=2, dim=16, depth=1, heads=2, head_dim=8,
            projector_depth=1, projector_heads=2, projector_mlp_dim=16, zero_mean_motion=normalized,
        )  # fmt: skip
        unet = TriplaneUNet(
            autoencoder.latent_shape, 2, 8, (1, 2), blocks_per_level=1, attention_levels=(1,), heads=2, norm_groups=4,
            **options,
        )  # fmt: skip
        nn.init.normal_(unet.head_conv.weight, std=0.1)
    normalization = None
    if normalized:
        normalization = LatentNormalization(2)
        normalization.std.fill_(0.5)
    schedule = NoiseSchedule(num_train_timesteps=20, clip_range=3.0 if normalized else 1.0)
    return VideoPipeline(
        FrozenAutoencoder(autoencoder),
        unet.requires_grad_(False).eval(),
        schedule,
        normalization,
        "v_prediction",
        sampling=sampling,
    )
