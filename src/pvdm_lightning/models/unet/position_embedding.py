"""Where a token of a triplane lies: in which plane, at which time, row and column."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pvdm_lightning.models.triplane import TriplaneShape

BANDS = 3


class PositionEmbedding(nn.Module):
    """A linear map of Fourier features of a token's coordinates, and of which plane it is in.

    Coordinates run from -1 to 1 whatever the size; those of the axis that a plane lacks are zero.

    Args:
        channels: C.
    """

    features: Tensor | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_channels = nn.Linear(3 * 2 * BANDS + 3, channels)
        self.register_buffer("features", None, persistent=False)
        self._shape: TriplaneShape | None = None

    def forward(self, shape: TriplaneShape) -> Tensor:
        """[L C] for planes `shape`."""
        if self.features is None or self._shape != shape:
            with torch.inference_mode(False):  # they are kept, and training needs them with gradients
                self.features, self._shape = fourier_features(shape, self.to_channels.weight.device), shape
        return self.to_channels(self.features.to(self.to_channels.weight.dtype))


def fourier_features(shape: TriplaneShape, device: torch.device) -> Tensor:
    """[L 2 * BANDS * 3 + 3]: sines and cosines of time, row and column, then one of three for the plane."""
    angles = math.pi / 2 * 2.0 ** torch.arange(BANDS, device=device)
    sizes = {"t": shape.frames, "h": shape.height, "w": shape.width}
    waves = {axis: torch.linspace(-1, 1, size, device=device)[:, None] * angles for axis, size in sizes.items()}
    parts = []
    for plane, (row, column) in enumerate((("h", "w"), ("t", "w"), ("t", "h"))):
        size = (sizes[row], sizes[column])
        features = torch.zeros(*size, 3, 2 * BANDS, device=device)
        features[:, :, "thw".index(row)] = torch.cat([waves[row].sin(), waves[row].cos()], dim=1)[:, None]
        features[:, :, "thw".index(column)] = torch.cat([waves[column].sin(), waves[column].cos()], dim=1)
        which = torch.eye(3, device=device)[plane].expand(*size, 3)
        parts.append(torch.cat([features.flatten(2), which], dim=2).flatten(0, 1))
    return torch.cat(parts)
