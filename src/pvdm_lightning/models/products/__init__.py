"""Float32 products of both networks; on a CPU through the faster of its two libraries."""

from pvdm_lightning.models.products.attention import attend
from pvdm_lightning.models.products.matrix import Linear, PointwiseLinear, linear, multiply_add
from pvdm_lightning.models.products.route import fastest_route, in_float32_on_cpu

__all__ = ["Linear", "PointwiseLinear", "attend", "fastest_route", "in_float32_on_cpu", "linear", "multiply_add"]
