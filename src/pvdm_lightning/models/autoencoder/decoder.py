"""Three latent planes -> clip."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer
from pvdm_lightning.models.triplane import Triplane


class TriplaneDecoder(nn.Module):
    """Broadcast the planes along their missing axis, sum them, then a space-time Transformer and pixels.

    Args:
        patch: Side of a patch in pixels.
        transformer: What the volume passes through.
        dim: D, channels of the volume.
        latent_channels: C, channels of the planes.
        overlapping: Whether the picture of a patch reaches half a patch into its neighbours on each side, and adds
            up there.
    """

    def __init__(
        self, patch: int, transformer: SpaceTimeTransformer, dim: int, latent_channels: int, overlapping: bool = False
    ) -> None:
        super().__init__()
        self.from_s = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_h = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.from_w = nn.Conv2d(latent_channels, dim, kernel_size=1)
        self.transformer = transformer
        self.overlapping = overlapping
        kernel, padding = (2 * patch, patch // 2) if overlapping else (patch, 0)
        self.to_pixels = nn.ConvTranspose2d(dim, 3, kernel, stride=patch, padding=padding)

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
        frames = self._frames(self.transformer(self.volume(latent)))
        # The sigmoid in float32: bfloat16 has too few digits for 256 grey levels.
        return 2 * torch.sigmoid(frames.float()) - 1

    def _frames(self, features: Tensor) -> Tensor:
        """Features [S B H' W' D] -> what the sigmoid takes, [B 3 S H W]."""
        # The transposed convolution as one linear layer: no library has to bring its layout.
        weight, bias, (patch, _) = self.to_pixels.weight, self.to_pixels.bias, self.to_pixels.stride
        assert bias is not None
        bias = bias.repeat_interleave(patch * patch)
        if not self.overlapping:
            patches = F.linear(features, weight.flatten(1).T, bias)
            return rearrange(patches, "s b h w (c p1 p2) -> b c s (h p1) (w p2)", p1=patch, p2=patch)
        # Four pictures lie over each square between the middles of four neighbouring patches.
        padded = F.pad(features, (0, 0, 1, 1, 1, 1))
        rows, columns = features.shape[2] + 1, features.shape[3] + 1
        corners = [padded[:, :, 1 - i :][:, :, :rows, 1 - j :][:, :, :, :columns] for i in (0, 1) for j in (0, 1)]
        weight = rearrange(weight, "d c (i p1) (j p2) -> (c p1 p2) (i j d)", i=2, j=2)
        squares = F.linear(torch.cat(corners, dim=-1), weight, bias)
        frames = rearrange(squares, "s b h w (c p1 p2) -> b c s (h p1) (w p2)", p1=patch, p2=patch)
        return frames[..., patch // 2 : -(patch // 2), patch // 2 : -(patch // 2)]
