"""One 3 x 3 convolution shared by the three planes."""

from collections.abc import Callable

from torch import Tensor, cat, nn

from pvdm_lightning.models.triplane import Triplane


class PlaneConv2d(nn.Conv2d):
    """A 3 x 3 convolution with zero padding, the same for all three planes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, planes: Triplane) -> Triplane:  # type: ignore[override]
        """Planes [B C R Q] -> planes [B C' R Q]."""
        return on_each_plane(super().forward, planes)


def on_each_plane(fn: Callable[[Tensor], Tensor], planes: Triplane) -> Triplane:
    """`fn` on every plane; z_h and z_w in one call if they have equal sizes."""
    if planes.z_h.shape != planes.z_w.shape:
        return planes.map(fn)
    z_h, z_w = fn(cat([planes.z_h, planes.z_w])).chunk(2)
    return Triplane(fn(planes.z_s), z_h, z_w)
