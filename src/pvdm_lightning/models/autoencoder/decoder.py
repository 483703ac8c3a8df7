"""Three latent planes -> clip."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

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
        """v_{shw} = W_s z^s_{hw} + W_h z^h_{sw} + W_w z^w_{sh}, [S B H' W' D]."""
        # Linear layers on channels-last planes, so that the sum, which is large, is written as it is read later.
        from_s, from_h, from_w = (
            F.linear(plane.permute(order), layer.weight.flatten(1), layer.bias)
            for plane, order, layer in (
                (latent.z_s, (0, 2, 3, 1), self.from_s),
                (latent.z_h, (2, 0, 3, 1), self.from_h),
                (latent.z_w, (2, 0, 3, 1), self.from_w),
            )
        )
        return from_s + from_h[:, :, None] + from_w[:, :, :, None]

    def forward(self, latent: Triplane) -> Tensor:
        """Latent planes -> clip [B 3 S H W] in [-1, 1]."""
        features = self.transformer(self.volume(latent))
        # The transposed convolution of disjoint patches, as a linear layer: no library has to bring its layout.
        weight, bias, patch = self.to_pixels.weight, self.to_pixels.bias, self.to_pixels.stride[0]
        assert bias is not None
        patches = F.linear(features, weight.flatten(1).T, bias.repeat_interleave(patch * patch))
        frames = rearrange(patches, "s b h w (c p1 p2) -> b c s (h p1) (w p2)", p1=patch, p2=patch)
        # The sigmoid in float32: bfloat16 has too few digits for 256 grey levels.
        return 2 * torch.sigmoid(frames.float()) - 1
