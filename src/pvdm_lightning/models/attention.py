"""Scaled dot-product attention in parts that a CUDA grid can take."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_BLOCKS = 2**16 - 1
MAX_ELEMENTS = 2**31 - 1


class ScaledDotProductAttention(nn.Module):
    """softmax(q k^T / sqrt(D)) v; the attention matrix is never stored."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values [B H N D] -> [B H N D]."""
        size = max_batch_size(q)
        if len(q) <= size:
            return F.scaled_dot_product_attention(q, k, v)
        parts = zip(q.split(size), k.split(size), v.split(size))
        return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


def max_batch_size(q: Tensor) -> int:
    """The largest batch of sequences like q [B H N D] that the CUDA kernels take in one call.

    A CUDA grid has 65,535 blocks along the batch (pytorch issue 146704), and the backward pass of FlashAttention counts
    elements in 32 bits, with N rounded up to a multiple of 128 and D to at least 32.
    """
    _, heads, tokens, channels = q.shape
    elements = heads * 128 * ((tokens + 127) // 128) * max(channels, 32)
    return max(1, min(MAX_BLOCKS, MAX_ELEMENTS // elements))
