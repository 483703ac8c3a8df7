"""The norm of the U-Net as one operator."""

from collections.abc import Sequence

from torch import Tensor

from pvdm_lightning.gpu.group_norm import group_norm, group_norm_rows
from pvdm_lightning.models.triplane import RowLayout
from pvdm_lightning.models.unet.plane_layers import Modulation, PlaneNorm


class FusedPlaneNorm(PlaneNorm):
    """As `PlaneNorm`, in one pass over the images and in their precision; statistics stay in float32."""

    def forward(self, images: Sequence[Tensor], modulation: Modulation | None = None) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q] -> images [B' C R Q], views of one buffer of rows."""
        scale, shift = (None, None) if modulation is None else modulation
        rows = group_norm(images, self.weight, self.bias, self.num_groups, self.eps, scale, shift, self.silu)
        sizes = [(len(image), *image.shape[2:]) for image in images]
        parts = rows.split([batch * height * width for batch, height, width in sizes])
        return [part.unflatten(0, size).permute(0, 3, 1, 2) for part, size in zip(parts, sizes, strict=True)]

    def images_of(self, rows: Tensor, layout: RowLayout, join: bool = True) -> list[Tensor]:
        """As `forward` of the images of rows [B*L C]."""
        return layout.images(self.rows(rows, layout.sizes(join)), join)

    def rows(self, rows: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """As `forward` on rows [N C], in which samples of `sizes`, (samples, positions), lie one after another."""
        return group_norm_rows(rows, sizes, self.weight, self.bias, self.num_groups, self.eps, silu=self.silu)
