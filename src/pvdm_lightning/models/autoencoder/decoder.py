"""Three latent planes -> clip."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer
from pvdm_lightning.models.triplane import Triplane


class FrameRefinement(nn.Module):
    """Three 3 x 3 convolutions over each frame, as a residual that starts at zero: patches see across their borders.

    They see 2 x 2 pixels as channels of one: over single pixels they would take three times the time.

    Args:
        channels: Channels between the convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.from_pixels = nn.Conv2d(12, channels, kernel_size=3, padding=1)
        self.hidden = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.to_pixels = nn.Conv2d(channels, 12, kernel_size=3, padding=1)
        nn.init.zeros_(self.to_pixels.weight)
        nn.init.zeros_(self.to_pixels.bias)  # type: ignore[arg-type]

    def forward(self, clip: Tensor) -> Tensor:
        """Clip [B 3 S H W], H and W even -> likewise."""
        frames = rearrange(clip, "b c s (h p) (w q) -> (b s) h w (c p q)", p=2, q=2)
        x = F.silu(self.from_pixels(frames.permute(0, 3, 1, 2)))  # channels last: twice as fast on a CPU
        x = self.to_pixels(F.silu(self.hidden(x)))
        return clip + rearrange(x, "(b s) (c p q) h w -> b c s (h p) (w q)", s=clip.shape[2], p=2, q=2)


class TriplaneDecoder(nn.Module):
    """Broadcast the planes along their missing axis, sum them, then a space-time Transformer and pixels.

    Args:
        patch: Side of a patch in pixels.
        transformer: Works on the sum.
        dim: D, its channels.
        latent_channels: C, channels of the planes.
        refinement_channels: Channels of a `FrameRefinement` of the pixels; 0 goes without.
    """

    def __init__(
        self,
        patch: int,
        transformer: SpaceTimeTransformer,
        dim: int,
        latent_channels: int,
        refinement_channels: int = 0,
    ) -> None:
        super().__init__()
        self.from_s = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_h = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_w = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.transformer = transformer
        self.to_pixels = nn.ConvTranspose2d(dim, 3, kernel_size=patch, stride=patch)
        self.refinement = FrameRefinement(refinement_channels) if refinement_channels else None

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
        if self.refinement is not None:
            frames = self.refinement(frames)
        # The sigmoid in float32: bfloat16 has too few digits for 256 grey levels.
        return 2 * torch.sigmoid(frames.float()) - 1
