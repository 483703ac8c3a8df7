"""GEGLU in one pass over memory forward and one backward; nothing is kept but its input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.gpu.availability import takes_kernels
from pvdm_lightning.models.autoencoder.space_time_transformer import GEGLU


class FusedGEGLU(GEGLU):
    """As `GEGLU`, by the operators of this file; inside in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Rows [N 2W] -> [N W]."""
        return _geglu(x)


@torch.library.custom_op("pvdm_lightning::geglu", mutates_args=())
def _geglu(x: Tensor) -> Tensor:
    """(a, g) [N 2W] -> a * gelu(g) [N W]."""
    if takes_kernels(x):
        from pvdm_lightning.gpu.geglu_kernel import forward

        return forward(x)
    value, gate = x.chunk(2, dim=1)
    return value * F.gelu(gate)


@torch.library.custom_op("pvdm_lightning::geglu_backward", mutates_args=())
def _geglu_backward(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient of the result [N W] -> gradient of x [N 2W]."""
    if takes_kernels(x):
        from pvdm_lightning.gpu.geglu_kernel import backward

        return backward(grad, x)
    value, gate = x.chunk(2, dim=1)
    return torch.cat([grad * F.gelu(gate), torch.ops.aten.gelu_backward(grad * value, gate)], dim=1)


@_geglu.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(len(x), x.shape[1] // 2)


@_geglu_backward.register_fake
def _(grad: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _keep(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradient(ctx: Any, grad: Tensor) -> Tensor:
    return _geglu_backward(grad, *ctx.saved_tensors)


_geglu.register_autograd(_gradient, setup_context=_keep)
