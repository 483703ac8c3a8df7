"""Scaled dot-product attention through oneDNN; its matrix is never stored."""

from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.cpu.onednn import takes_onednn, through_onednn
from pvdm_lightning.models.attention import ScaledDotProductAttention

MIN_TOKENS = 256  # below, the products of a head are too small for oneDNN, which prepares each anew

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class FastAttention(ScaledDotProductAttention):
    """As ScaledDotProductAttention; q, k and v have a last stride of 1."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values [B H N D] -> [B H N D]."""
        if min(q.shape[2], k.shape[2]) < MIN_TOKENS or not takes_onednn(q, k, v):
            return super().forward(q, k, v)
        return _attention(q, k, v)[0]


@torch.library.custom_op("pvdm_lightning::attention", mutates_args=())
def _attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel that F.scaled_dot_product_attention takes on a CPU: attended values, log of the sums [B N H]."""
    with through_onednn():
        return _flash(q, k, v)


@torch.library.custom_op("pvdm_lightning::attention_backward", mutates_args=())
def _attention_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    with through_onednn():
        return _flash_backward(grad, q, k, v, attended, log_sums, 0.0, False)


@_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return _flash(q, k, v)


@_attention_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return _flash_backward(grad, q, k, v, attended, log_sums, 0.0, False)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _gradients(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _attention_backward(grad, *ctx.saved_tensors)


_attention.register_autograd(_gradients, setup_context=_keep)
