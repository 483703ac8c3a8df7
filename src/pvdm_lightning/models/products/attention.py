"""Scaled dot-product attention by the chosen route; its matrix is never stored."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.models.products.route import may_choose, through_onednn

LEAST_TOKENS = 256
"""Tokens below which the products of a head are too small for oneDNN, which prepares each anew."""

MOST_BLOCKS = 2**16 - 1
MOST_ELEMENTS = 2**31 - 1

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(D)) v of queries, keys and values [B H N D] with a last stride of 1."""
    most = most_at_once(q)
    if len(q) > most:
        return torch.cat([attend(*part) for part in zip(q.split(most), k.split(most), v.split(most))])
    if min(q.shape[2], k.shape[2]) < LEAST_TOKENS or not may_choose(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)
    return _attention(q, k, v)[0]


def most_at_once(q: Tensor) -> int:
    """How many of the sequences [B H N D] the kernels of a GPU can take together.

    A grid of CUDA has 65,535 blocks along the batch (pytorch issue 146704), and the backward pass of FlashAttention
    counts its elements, with N rounded up to 128 and D to 32 or more, in 32 bits.
    """
    _, heads, tokens, channels = q.shape
    elements = heads * 128 * ((tokens + 127) // 128) * max(channels, 32)
    return max(1, min(MOST_BLOCKS, MOST_ELEMENTS // elements))


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
