"""Clip -> feature volume."""

from einops import rearrange
from torch import Tensor, nn

from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer


class VideoEncoder(nn.Module):
    """Patches to vectors, then a space-time Transformer: u in R^{D x S x H' x W'} (PVDM, section 3.1)."""

    def __init__(self, patch: int, transformer: SpaceTimeTransformer, dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        nn.init.zeros_(self.embed.bias)
        self.transformer = transformer

    def forward(self, clip: Tensor) -> Tensor:
        """Clip [B 3 S H W] in [-1, 1] -> features [S B H' W' D]."""
        p = self.patch
        patches = rearrange(clip, "b c s (h p1) (w p2) -> s b h w (p1 p2 c)", p1=p, p2=p)
        return self.transformer(self.embed(patches))
