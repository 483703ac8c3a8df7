"""The norm of the U-Net as one operator."""

from collections.abc import Sequence

from torch import Tensor

from pvdm_lightning.gpu.group_norm import group_norm
from pvdm_lightning.models.unet.plane_layers import Modulation, PlaneNorm


class FusedPlaneNorm(PlaneNorm):
    """As `PlaneNorm`, in one pass over the images and in their precision; statistics stay in float32."""

    def forward(self, images: Sequence[Tensor], modulation: Modulation | None = None) -> list[Tensor]:  # type: ignore[override]
        """Images [B' C R Q] -> images [B' C R Q], views of one buffer of rows."""
        sizes = [(len(image), *image.shape[2:]) for image in images]
        parts = self._fused(images, modulation).split([batch * rows * columns for batch, rows, columns in sizes])
        return [part.unflatten(0, size).permute(0, 3, 1, 2) for part, size in zip(parts, sizes, strict=True)]

    def rows(self, images: Sequence[Tensor]) -> Tensor:
        """As `forward`, as rows [N C]."""
        return self._fused(images, None)

    def _fused(self, images: Sequence[Tensor], modulation: Modulation | None) -> Tensor:
        scale, shift = (None, None) if modulation is None else modulation
        return group_norm(images, self.weight, self.bias, self.num_groups, self.eps, scale, shift, self.silu)
