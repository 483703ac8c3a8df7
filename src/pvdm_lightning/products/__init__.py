"""Float32 products of both networks; on a CPU through the faster of its two libraries."""

from pvdm_lightning.products.attention import attend
from pvdm_lightning.products.matrix import Linear, PointwiseLinear, linear, multiply_add

__all__ = ["Linear", "PointwiseLinear", "attend", "linear", "multiply_add"]
