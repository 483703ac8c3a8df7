"""Linear layers and matrix products through oneDNN, with their gradients."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pvdm_lightning.cpu.onednn import takes_onednn, through_onednn

MIN_WORK = 2**25  # multiplications; below, the choice costs as much as it gains


class FastLinear(nn.Linear):
    """As nn.Linear: x [... D] -> [... D']."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As F.linear: x [... D], weight [D' D], bias [D'] -> [... D']."""
    if x.numel() * len(weight) < MIN_WORK or not takes_onednn(x, weight):
        return F.linear(x, weight, bias)
    return _product(x.flatten(0, -2), weight.t(), bias).unflatten(0, x.shape[:-1])


def multiply_add(a: Tensor, b: Tensor, bias: Tensor) -> Tensor:
    """A [M K] times b [K N] plus a bias that broadcasts to [M N]."""
    if a.numel() * b.shape[1] < MIN_WORK or not takes_onednn(a, b):
        return torch.addmm(bias, a, b)
    return _product(a, b, bias)


@torch.library.custom_op("pvdm_lightning::product", mutates_args=())
def _product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """A b + bias through oneDNN; an operator of PyTorch, so that torch.compile takes it as it is."""
    with through_onednn():
        product = a @ b
    # Not torch.addmm, which copies the bias to every row and has oneDNN add to that: 2 to 4 % slower.
    return product if bias is None else product.add_(bias)


@_product.register_fake
def _(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return a.new_empty(len(a), b.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    a, b, bias = inputs
    ctx.save_for_backward(a, b)
    ctx.bias_shape = None if bias is None else bias.shape


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    a, b = ctx.saved_tensors
    for_a, for_b, for_bias = ctx.needs_input_grad
    # In the memory order of a and b, which may be transposed views, as the weight of a linear layer.
    grad_a = None if not for_a else _like(a, grad, b.t())
    grad_b = None if not for_b else _like(b, a.t(), grad)
    return grad_a, grad_b, grad.sum_to_size(ctx.bias_shape) if for_bias else None


def _like(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A b, transposed in memory if x is."""
    return _product(a, b, None) if x.is_contiguous() else _product(b.t(), a.t(), None).t()


_product.register_autograd(_gradients, setup_context=_keep)
