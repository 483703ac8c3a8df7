"""Scaled dot-product attention by the chosen route; its matrix is never stored."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.products.route import may_choose, through_onednn

LEAST_TOKENS = 256
"""Tokens below which the products of a head are too small for oneDNN, which prepares each anew."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v of queries, keys and values [B H N D] with a last stride of 1."""
    if min(q.shape[2], k.shape[2]) < LEAST_TOKENS or not may_choose(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)
    return _Attention.apply(q, k, v)


class _Attention(torch.autograd.Function):
    """The kernel that F.scaled_dot_product_attention takes on a CPU, its products through oneDNN."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with through_onednn():
            attended, log_sums = _flash(q, k, v)
        ctx.save_for_backward(q, k, v, attended, log_sums)
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, attended, log_sums = ctx.saved_tensors
        with through_onednn():
            return _flash_backward(grad, q, k, v, attended, log_sums, 0.0, False)
