"""Each position of a plane sees the means of the other two planes over the axis that it does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.plane_layers import PlaneNorm


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
        self.norm = PlaneNorm(norm_groups, channels, silu=False)
        self.to_s, self.to_h, self.to_w = (nn.Linear(2 * channels, channels) for _ in range(3))
        for layer in (self.to_s, self.to_h, self.to_w):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, layout: RowLayout) -> Tensor:
        """Rows x [B*L C] -> rows [B*L C]."""
        shape = layout.shape
        tokens = layout.tokens(x)
        normed = self.norm.rows(tokens.flatten(0, 1), [(layout.batch, shape.num_tokens)]).view_as(tokens)
        parts = zip(normed.split(list(shape.lengths), dim=1), shape.planes, strict=True)
        z_s, z_h, z_w = (part.unflatten(1, sides) for part, sides in parts)
        # Means of each plane along its rows and along its columns, [B n C].
        s_at_w, s_at_h = z_s.mean(dim=1), z_s.mean(dim=2)
        h_at_w, h_at_t = z_h.mean(dim=1), z_h.mean(dim=2)
        w_at_h, w_at_t = z_w.mean(dim=1), z_w.mean(dim=2)
        added = [
            self.to_s(_grid(w_at_h, h_at_w)),
            self.to_h(_grid(w_at_t, s_at_w)),
            self.to_w(_grid(h_at_t, s_at_h)),
        ]
        return layout.add_tokens(x, torch.cat(added, dim=1))


def _grid(of_row: Tensor, of_column: Tensor) -> Tensor:
    """[B R C], [B Q C] -> [B R*Q 2C]."""
    rows, columns = of_row.shape[1], of_column.shape[1]
    spread = of_row[:, :, None].expand(-1, -1, columns, -1), of_column[:, None].expand(-1, rows, -1, -1)
    return torch.cat(spread, dim=3).flatten(1, 2)
