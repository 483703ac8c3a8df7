"""Each position of a plane sees the means of the other two planes over the axis that it does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pvdm_lightning.models.triplane import Triplane, TriplaneShape


class AxisPooling(nn.Module):
    """Adds to each plane a linear map of the other two, averaged along the axis that it lacks and aligned with it.

    A token of z^s at (h, w) gets the mean of z^h over time at w, and the mean of z^w over time at h; likewise the other
    two planes. What belongs together lies at the same coordinate, which attention across planes, without positions,
    has to learn. The 3D-aware convolution of Rodin (Wang et al., CVPR 2023, section 3.2) has the same idea. Starts as
    the identity.

    Args:
        channels: C, a multiple of `norm_groups`.
        norm_groups: Groups of the norm.
    """

    def __init__(self, channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, channels)
        self.to_s, self.to_h, self.to_w = (nn.Linear(2 * channels, channels) for _ in range(3))
        for layer in (self.to_s, self.to_h, self.to_w):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, shape: TriplaneShape) -> Tensor:
        """X [B C L] of planes `shape` -> [B C L]."""
        z_s, z_h, z_w = Triplane.from_sequence(self.norm(x), shape)
        frames, height, width = shape.frames, shape.height, shape.width
        # Means of each plane along its rows and along its columns, [B C n].
        s_at_w, s_at_h = z_s.mean(dim=2), z_s.mean(dim=3)
        h_at_w, h_at_t = z_h.mean(dim=2), z_h.mean(dim=3)
        w_at_h, w_at_t = z_w.mean(dim=2), z_w.mean(dim=3)
        added = [
            self.to_s(_grid(w_at_h, h_at_w, height, width)),
            self.to_h(_grid(w_at_t, s_at_w, frames, width)),
            self.to_w(_grid(h_at_t, s_at_h, frames, height)),
        ]
        return x + torch.cat(added, dim=1).transpose(1, 2)


def _grid(of_row: Tensor, of_column: Tensor, rows: int, columns: int) -> Tensor:
    """[B C rows], [B C columns] -> [B rows*columns 2C]."""
    spread = of_row[..., None].expand(-1, -1, -1, columns), of_column[:, :, None].expand(-1, -1, rows, -1)
    return torch.cat(spread, dim=1).flatten(2).transpose(1, 2)
