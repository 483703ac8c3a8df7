"""The norm of the U-Net as one operator."""

from collections.abc import Sequence

from torch import Tensor

from pvdm_lightning.gpu.group_norm import group_norm, group_norm_parts, group_norm_rows
from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.plane_layers import Modulation, PlaneNorm


class FusedPlaneNorm(PlaneNorm):
    """As `PlaneNorm`, in one pass over the images and in their precision; statistics stay in float32."""

    def forward(self, images: Sequence[Tensor], modulation: Modulation | None = None) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q] -> images [B' C R Q]."""
        scale, shift = (None, None) if modulation is None else modulation
        return group_norm(images, *self._weights, scale, shift, self.silu)

    def images_of(self, rows: Tensor, layout: RowLayout, join: bool = True) -> list[Tensor]:
        """As `forward` of the images of rows [B*L C]."""
        parts = group_norm_parts(rows, layout.sizes(join), *self._weights, silu=self.silu)
        shapes = layout.image_shapes(join)
        return [part.unflatten(0, shape).permute(0, 3, 1, 2) for part, shape in zip(parts, shapes, strict=True)]

    def rows(self, rows: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """As `forward` on rows [N C], in which samples of `sizes`, (samples, positions), lie one after another."""
        return group_norm_rows(rows, sizes, *self._weights, silu=self.silu)

    @property
    def _weights(self) -> tuple[Tensor, Tensor, int, float]:
        return self.weight, self.bias, self.num_groups, self.eps
