"""Attention in parts that a CUDA grid can take."""

import torch
from torch.nn import functional as F

from pvdm_lightning.models import attention
from pvdm_lightning.models.attention import ScaledDotProductAttention


def test_more_sequences_than_a_grid_has_blocks(monkeypatch):
    torch.manual_seed(0)
    inputs = [torch.randn(7, 2, 5, 4, requires_grad=True) for _ in range(3)]
    plain = F.scaled_dot_product_attention(*inputs)
    sizes, kernel = [], F.scaled_dot_product_attention
    monkeypatch.setattr(attention, "MAX_BLOCKS", 3)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: sizes.append(len(q)) or kernel(q, k, v))
    attended = ScaledDotProductAttention()(*inputs)
    assert torch.allclose(attended, plain, atol=1e-6)
    weights = torch.randn(plain.shape)
    gradients = (torch.autograd.grad((out * weights).sum(), inputs) for out in (attended, plain))
    assert all(torch.allclose(ours, other, atol=1e-5) for ours, other in zip(*gradients))
    assert sizes == [3, 3, 1]


def test_how_many_sequences_a_gpu_takes_together():
    def most(*shape):
        return attention.max_batch_size(torch.empty(*shape, device="meta"))

    assert most(64 * 1024, 8, 16, 16) == 2**16 - 1
    assert most(64 * 1024, 8, 16, 64) == (2**31 - 1) // (8 * 128 * 64)  # 16 tokens count as 128
    assert most(4, 8, 1024, 8) == (2**31 - 1) // (8 * 1024 * 32)  # 8 channels as 32
    assert most(1, 8, 2**28, 64) == 1
