"""A small second stage, and the same samples for it in pixels and in latents."""

import torch

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import LatentDiffusionModule


def autoencoder(seed=0, **how):
    torch.manual_seed(seed)
    sizes = {"dim": 32, "depth": 1, "heads": 2, "head_dim": 16, "projector_depth": 1, "projector_mlp_dim": 32}
    return VideoAutoencoder(4, 16, 8, **{**sizes, **how})


def latent_diffusion():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, conditional_probability=0.5)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    for parameter in module.ema.network.parameters():  # the last layer starts at zero, and any input would do
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def batches_in_pixels_and_latents(module):
    """The same eight samples in pixels, and as a cache gives them."""
    generator = torch.Generator().manual_seed(0)
    clip, previous = torch.randint(256, (2, 8, 3, 4, 16, 16), dtype=torch.uint8, generator=generator)
    has_previous = torch.tensor([True, False] + [True] * 6)
    previous[1] = 0
    about = {"has_previous": has_previous, "index": torch.arange(8)}
    pixels = {"clip": clip, "previous": previous, **about}
    encode = module.first_stage.encode
    latents = {"clip": encode(clip), "previous": encode(previous), **about}
    latents["previous"][1] = 0
    return pixels, latents
