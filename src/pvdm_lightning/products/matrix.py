"""Matrix products and linear layers by the chosen route, their gradients too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.products.route import may_choose, through_onednn

LEAST_WORK = 2**25
"""Multiplications below which the choice costs as much as it gains."""


class Linear(nn.Linear):
    """As nn.Linear, x [... D] -> [... D']."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As F.linear: x [... D], weight [D' D], bias [D'] -> [... D']."""
    if x.numel() * len(weight) < LEAST_WORK or not may_choose(x, weight):
        return F.linear(x, weight, bias)
    return _Product.apply(x.flatten(0, -2), weight.t(), bias).unflatten(0, x.shape[:-1])


def multiply_add(a: Tensor, b: Tensor, bias: Tensor) -> Tensor:
    """A [M K] times b [K N] plus a bias that broadcasts to [M N]."""
    if a.numel() * b.shape[1] < LEAST_WORK or not may_choose(a, b):
        return torch.addmm(bias, a, b)
    return _Product.apply(a, b, bias)


class _Product(torch.autograd.Function):
    """a b + bias, through oneDNN forward and backward."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.bias_shape = None if bias is None else bias.shape
        with through_onednn():
            return a @ b if bias is None else torch.addmm(bias, a, b)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        for_a, for_b, for_bias = ctx.needs_input_grad
        with through_onednn():
            grad_a = grad @ b.t() if for_a else None
            # In the memory order of b, which for a linear layer is a transposed weight.
            grad_b = None if not for_b else a.t() @ grad if b.is_contiguous() else (grad.t() @ a).t()
        return grad_a, grad_b, grad.sum_to_size(ctx.bias_shape) if for_bias else None
