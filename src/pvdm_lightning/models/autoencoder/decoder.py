"""Three latent planes -> clip."""

import torch
from einops import rearrange
from torch import Tensor, nn

from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer
from pvdm_lightning.models.triplane import Triplane


class TriplaneDecoder(nn.Module):
    """Broadcast the planes along their missing axis, sum them, then a space-time Transformer and pixels."""

    def __init__(self, patch: int, transformer: SpaceTimeTransformer, dim: int, latent_channels: int) -> None:
        super().__init__()
        self.from_s = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_h = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_w = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.transformer = transformer
        self.to_pixels = nn.ConvTranspose2d(dim, 3, kernel_size=patch, stride=patch)

    def volume(self, latent: Triplane) -> Tensor:
        """v_{shw} = W_s z^s_{hw} + W_h z^h_{sw} + W_w z^w_{sh}, [B D S H' W']."""
        return (
            self.from_s(latent.z_s)[:, :, None, :, :]
            + self.from_h(latent.z_h)[:, :, :, None, :]
            + self.from_w(latent.z_w)[:, :, :, :, None]
        )

    def forward(self, latent: Triplane) -> Tensor:
        """Latent planes -> clip [B 3 S H W] in [-1, 1]."""
        features = self.transformer(self.volume(latent))
        frames = self.to_pixels(rearrange(features, "b d s h w -> (b s) d h w"))
        # The sigmoid in float32: bfloat16 has too few digits for 256 grey levels.
        pixels = 2 * torch.sigmoid(frames.float()) - 1
        return rearrange(pixels, "(b s) c h w -> b c s h w", b=features.shape[0])
