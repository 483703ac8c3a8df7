"""The pixel-space U-Net of video diffusion (VDM, arXiv 2204.03458) at PVDM's width, from video-diffusion-pytorch.

An optional dependency: pip install "pvdm-lightning[benchmark]". The package's attention is its own: over space linear
in the positions but for the middle, over time a matrix for each position, kept in memory as a whole.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor, nn

PACKAGE = "video_diffusion_pytorch"
MISSING = (
    "left out: the pixel-space U-Net, because video-diffusion-pytorch is not installed: "
    'pip install -e ".[benchmark]" or pip install video-diffusion-pytorch'
)


def installed() -> bool:
    """Whether the package is there."""
    return find_spec(PACKAGE) is not None


class _NoClip:
    """The package's mask of the clips whose frames must not see each other, with no clip in it.

    The package asks the mask twice in each attention whether all clips are in it, which a fake tensor cannot answer.
    """

    def __init__(self, inverted: bool = False) -> None:
        self.inverted = inverted

    def __invert__(self) -> _NoClip:
        return _NoClip(not self.inverted)

    def all(self) -> bool:
        """Whether every clip is in the mask."""
        return self.inverted


class PixelUNet(nn.Module):
    """Predicts the noise in the pixels of a clip.

    Args:
        base_channels: Channels at full size.
        multipliers: Channels of each level, as multiples; the next level halves height and width, never time.
    """

    def __init__(self, base_channels: int, multipliers: tuple[int, ...]) -> None:
        super().__init__()
        package = import_module(f"{PACKAGE}.{PACKAGE}")
        self.network = package.Unet3D(dim=base_channels, dim_mults=multipliers)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Noisy clip x [B 3 S H W] whose sides can be halved at every level, time t [B] -> noise [B 3 S H W]."""
        noise: Tensor = self.network(x, t, focus_present_mask=_NoClip())
        return noise


def inputs(batch: int, frames: int, side: int) -> tuple[Tensor, Tensor]:
    """Noisy clips and their times."""
    return torch.randn(batch, 3, frames, side, side), torch.full((batch,), 500)
