"""The rotation of `rotary.py` as a Triton kernel: each value is read and written once, products are in float32."""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 2048
"""Values of a program."""


@triton.jit
def _rotate_kernel(
    x, cos, sin, out, rows, heads, batch,
    x_a, x_b, x_h, out_a, out_b, out_h, table_a, table_b,
    CHANNELS: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.arange(0, WIDTH)[None, :]
    exists = (row < rows) & (channel < CHANNELS)
    head = (row % heads).to(tl.int64)
    b = (row // heads % batch).to(tl.int64)
    a = (row // heads // batch).to(tl.int64)
    source = x + a * x_a + b * x_b + head * x_h
    table = a * table_a + b * table_b + channel
    own = tl.load(source + channel, mask=exists, other=0.0).to(tl.float32)
    other = tl.load(source + (channel ^ 1), mask=exists, other=0.0).to(tl.float32)  # of the pair; lies in the cache
    turned = own * tl.load(cos + table, mask=exists, other=0.0) + other * tl.load(sin + table, mask=exists, other=0.0)
    target = out + a * out_a + b * out_b + head * out_h + channel
    tl.store(target, turned.to(out.dtype.element_ty), mask=exists)


def launch(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    """Write the rotation of x [A B H D_head] into `out`; both may be strided, except in the last dimension."""
    a, b, heads, channels = x.shape
    x = x if x.stride(3) == 1 else x.contiguous()
    cos, sin = (table.contiguous().expand(a, b, 1, channels) for table in (cos, sin))
    rows, width = a * b * heads, triton.next_power_of_2(channels)
    together = max(1, TILE // width)
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():  # on a CPU, Triton's interpreter
        _rotate_kernel[(triton.cdiv(rows, together),)](
            *(x, cos, sin, out, rows, heads, b),
            *(*x.stride()[:3], *out.stride()[:3], *cos.stride()[:2]),
            CHANNELS=channels,
            WIDTH=width,
            ROWS=together,
        )
