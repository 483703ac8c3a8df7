"""The GEGLU of `geglu.py` as Triton kernels: each value is read and written once, arithmetic is in float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

WIDTH = 512
"""Values of a program, of one row."""


@triton.jit
def _load(pointer, mask):
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _forward_kernel(x, out, channels, WIDTH: tl.constexpr):
    row, channel = tl.program_id(0).to(tl.int64), tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    mask = channel < channels
    value = _load(x + row * 2 * channels + channel, mask)
    gate = _load(x + (row * 2 + 1) * channels + channel, mask)
    result = value * gate * 0.5 * (1 + tl.math.erf(gate * 0.7071067811865476))
    tl.store(out + row * channels + channel, result.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _backward_kernel(grad, x, out, channels, WIDTH: tl.constexpr):
    row, channel = tl.program_id(0).to(tl.int64), tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    mask = channel < channels
    value = _load(x + row * 2 * channels + channel, mask)
    gate = _load(x + (row * 2 + 1) * channels + channel, mask)
    of_result = _load(grad + row * channels + channel, mask)
    share = 0.5 * (1 + tl.math.erf(gate * 0.7071067811865476))  # of the normal distribution below the gate
    density = 0.3989422804014327 * tl.exp(-0.5 * gate * gate)
    of_value, of_gate = of_result * gate * share, of_result * value * (share + gate * density)
    tl.store(out + row * 2 * channels + channel, of_value.to(out.dtype.element_ty), mask=mask)
    tl.store(out + (row * 2 + 1) * channels + channel, of_gate.to(out.dtype.element_ty), mask=mask)


def forward(x: Tensor) -> Tensor:
    """(a, g) [N 2W] -> a * gelu(g) [N W]."""
    x, channels = x.contiguous(), x.shape[1] // 2
    out = x.new_empty(len(x), channels)
    with _device(x):
        _forward_kernel[_grid(x)](x, out, channels, WIDTH=WIDTH)
    return out


def backward(grad: Tensor, x: Tensor) -> Tensor:
    """Gradient of the result [N W] -> gradient of x [N 2W]."""
    x, grad = x.contiguous(), grad.contiguous()
    out = torch.empty_like(x)
    with _device(x):
        _backward_kernel[_grid(x)](grad, x, out, x.shape[1] // 2, WIDTH=WIDTH)
    return out


def _grid(x: Tensor) -> tuple[int, int]:
    return len(x), triton.cdiv(x.shape[1] // 2, WIDTH)


def _device(x: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current device."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()  # on a CPU, Triton's interpreter
