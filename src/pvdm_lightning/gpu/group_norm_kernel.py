"""The group norm of `group_norm.py` as Triton kernels: one launch forward, two backward.

A program has a few whole groups of one sample, [R*Q channels]. It reads them twice, for the statistics and for the
result; the second time they come from the cache, so that main memory sees x and the result once each. Nothing is added
up across programs but the gradients of weight, bias, scale and shift, which a second kernel sums in a fixed order: the
same inputs give the same bits.

All images go through one launch. The first program of each is `first_1`, `first_2`; where there are fewer than three,
the others have no samples.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from pvdm_lightning.gpu.group_norm import Norm

TILE = 4096
"""Values that a program reads at once."""
VALUES_OF_WARP = 512
"""16 a thread, which are two loads in bfloat16."""
WIDE, NARROW = 64, 32
"""Adjacent bytes that a program reads. 32 are the least that memory gives out. With 128, all running programs together
would read more than the cache of an H200 holds; this is arithmetic, not measured."""
MIN_PROGRAMS = 512
"""Programs that keep a large GPU busy; with fewer wide ones, all are narrow. Not measured."""


class Blocks(NamedTuple):
    """Constants that a kernel is compiled with.

    Args:
        GROUP: Channels of a group.
        WIDTH: The same rounded up to a power of two.
        GROUPS: Groups of a program.
        POSITIONS: Positions read at once.
    """

    GROUP: int
    WIDTH: int
    GROUPS: int
    POSITIONS: int

    @property
    def warps(self) -> int:
        return min(16, max(1, self.WIDTH * self.GROUPS * self.POSITIONS // VALUES_OF_WARP))


def blocks(channels: int, groups: int, samples: int, positions: int, itemsize: int) -> Blocks:
    """How the work is divided; whole groups stay together, however wide."""
    group = channels // groups
    width = triton.next_power_of_2(group)
    adjacent = WIDE if samples * channels * itemsize >= WIDE * MIN_PROGRAMS else NARROW
    together = min(max(1, adjacent // (itemsize * width)), triton.next_power_of_2(groups))
    at_once = min(max(1, TILE // (together * width)), triton.next_power_of_2(positions))
    return Blocks(group, width, together, at_once)


@triton.jit
def _channels(groups, GROUP: tl.constexpr, WIDTH: tl.constexpr, GROUPS: tl.constexpr):
    """Channels of this program, their groups, and which of them exist."""
    lane = tl.arange(0, GROUPS * WIDTH)
    group = tl.program_id(0) * GROUPS + lane // WIDTH
    if GROUP == WIDTH:  # told so, the compiler reads several small groups at once
        channel = tl.program_id(0) * (GROUPS * WIDTH) + lane
        exists = channel < groups * GROUP
    else:
        channel = group * GROUP + lane % WIDTH
        exists = (lane % WIDTH < GROUP) & (group < groups)
    return channel, group, exists


@triton.jit
def _of_image(sample, first_1, first_2, of_0, of_1, of_2):
    """What belongs to the image of a sample."""
    if sample < first_1:
        own = of_0
    elif sample < first_2:
        own = of_1
    else:
        own = of_2
    return own


@triton.jit
def _before(sample, first_1, first_2, positions):
    """Positions of the samples before this one in its image."""
    first = tl.where(sample < first_1, 0, tl.where(sample < first_2, first_1, first_2))
    return (sample - first).to(tl.int64) * positions


@triton.jit
def _sum_groups(x, WIDTH: tl.constexpr, GROUPS: tl.constexpr):
    """Sums over the channels of each group, given to each of its channels."""
    sums = tl.sum(tl.reshape(x, (GROUPS, WIDTH)), axis=1)
    return tl.reshape(tl.broadcast_to(sums[:, None], (GROUPS, WIDTH)), (GROUPS * WIDTH,))


@triton.jit
def _gain_and_offset(weight, bias, scale, shift, scale_stride, shift_stride, row, channel, exists, SCALE: tl.constexpr):
    gain = tl.load(weight + channel, mask=exists, other=0.0).to(tl.float32)
    offset = tl.load(bias + channel, mask=exists, other=0.0).to(tl.float32)
    if SCALE:
        factor = 1 + tl.load(scale + row * scale_stride + channel, mask=exists, other=0.0).to(tl.float32)
        offset = offset * factor + tl.load(shift + row * shift_stride + channel, mask=exists, other=0.0).to(tl.float32)
        gain = gain * factor
    return gain, offset


@triton.jit(do_not_specialize=["first_1", "first_2", "positions_0", "positions_1", "positions_2", "batch", "samples"])
def _forward_kernel(
    x_0, x_1, x_2, out_0, out_1, out_2, first_1, first_2, positions_0, positions_1, positions_2,
    statistics, weight, bias, scale, shift, scale_stride, shift_stride,
    samples, batch, channels, groups, eps,
    SCALE: tl.constexpr, SILU: tl.constexpr,
    GROUP: tl.constexpr, WIDTH: tl.constexpr, GROUPS: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(1)
    channel, group, exists = _channels(groups, GROUP, WIDTH, GROUPS)
    positions = _of_image(sample, first_1, first_2, positions_0, positions_1, positions_2)
    before = _before(sample, first_1, first_2, positions) * channels
    x = _of_image(sample, first_1, first_2, x_0, x_1, x_2) + before
    out = _of_image(sample, first_1, first_2, out_0, out_1, out_2) + before
    lines = tl.arange(0, POSITIONS)[:, None]

    # Differences to the mean of the first tile, whose sum of squares can be subtracted from: the tile is a part of the
    # data, so that its mean is at most sqrt(positions / POSITIONS) standard deviations off.
    mask = (lines < positions) & exists[None, :]
    tile = tl.load(x + lines * channels + channel[None, :], mask=mask, other=0.0).to(tl.float32)
    centre = _sum_groups(tl.sum(tile, axis=0), WIDTH, GROUPS) / (tl.minimum(positions, POSITIONS) * GROUP)
    sums = tl.zeros((POSITIONS, GROUPS * WIDTH), tl.float32)
    squares = tl.zeros((POSITIONS, GROUPS * WIDTH), tl.float32)
    for start in range(0, positions, POSITIONS):
        mask = (start + lines < positions) & exists[None, :]
        tile = tl.load(x + (start + lines) * channels + channel[None, :], mask=mask, other=0.0).to(tl.float32)
        difference = tl.where(mask, tile - centre[None, :], 0.0)
        sums += difference
        squares += difference * difference
    size = (positions * GROUP).to(tl.float32)
    difference = _sum_groups(tl.sum(sums, axis=0), WIDTH, GROUPS) / size
    variance = _sum_groups(tl.sum(squares, axis=0), WIDTH, GROUPS) / size - difference * difference
    mean = centre + difference
    rstd = 1 / tl.sqrt(tl.maximum(variance, 0.0) + eps)
    first = exists & (channel == group * GROUP)
    tl.store(statistics + sample * groups + group, mean, mask=first)
    tl.store(statistics + (samples + sample) * groups + group, rstd, mask=first)

    gain, offset = _gain_and_offset(
        weight, bias, scale, shift, scale_stride, shift_stride, sample % batch, channel, exists, SCALE
    )
    gain *= rstd
    for start in range(0, positions, POSITIONS):
        mask = (start + lines < positions) & exists[None, :]
        place = (start + lines) * channels + channel[None, :]
        y = (tl.load(x + place, mask=mask, other=0.0).to(tl.float32) - mean[None, :]) * gain[None, :] + offset[None, :]
        if SILU:
            y *= tl.sigmoid(y)
        tl.store(out + place, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _pulled_back(grad, normed, gain, offset, SILU: tl.constexpr):
    """The gradient of gain * normed + offset."""
    if SILU:
        y = normed * gain[None, :] + offset[None, :]
        sigmoid = tl.sigmoid(y)
        grad = grad * sigmoid * (1 + y * (1 - sigmoid))
    return grad


@triton.jit(do_not_specialize=["first_1", "first_2", "positions_0", "positions_1", "positions_2", "batch", "samples"])
def _backward_kernel(
    x_0, x_1, x_2, grad_0, grad_1, grad_2, out_0, out_1, out_2, first_1, first_2, positions_0, positions_1, positions_2,
    sums, statistics, weight, bias, scale, shift, scale_stride, shift_stride,
    samples, batch, channels, groups,
    SCALE: tl.constexpr, SILU: tl.constexpr, FOR_ROWS: tl.constexpr,
    GROUP: tl.constexpr, WIDTH: tl.constexpr, GROUPS: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(1)
    channel, group, exists = _channels(groups, GROUP, WIDTH, GROUPS)
    positions = _of_image(sample, first_1, first_2, positions_0, positions_1, positions_2)
    before = _before(sample, first_1, first_2, positions) * channels
    x = _of_image(sample, first_1, first_2, x_0, x_1, x_2) + before
    grad = _of_image(sample, first_1, first_2, grad_0, grad_1, grad_2) + before
    out = _of_image(sample, first_1, first_2, out_0, out_1, out_2) + before
    lines = tl.arange(0, POSITIONS)[:, None]
    mean = tl.load(statistics + sample * groups + group, mask=exists, other=0.0)
    rstd = tl.load(statistics + (samples + sample) * groups + group, mask=exists, other=0.0)
    gain, offset = _gain_and_offset(
        weight, bias, scale, shift, scale_stride, shift_stride, sample % batch, channel, exists, SCALE
    )

    sums_g = tl.zeros((POSITIONS, GROUPS * WIDTH), tl.float32)
    sums_gn = tl.zeros((POSITIONS, GROUPS * WIDTH), tl.float32)
    for start in range(0, positions, POSITIONS):
        mask = (start + lines < positions) & exists[None, :]
        place = (start + lines) * channels + channel[None, :]
        normed = (tl.load(x + place, mask=mask, other=0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
        g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)  # zero outside, and so are its products
        g = _pulled_back(g, normed, gain, offset, SILU)
        sums_g += g
        sums_gn += g * normed
    sum_g = tl.sum(sums_g, axis=0)
    sum_gn = tl.sum(sums_gn, axis=0)
    tl.store(sums + sample * channels + channel, sum_g, mask=exists)
    tl.store(sums + (samples + sample) * channels + channel, sum_gn, mask=exists)

    if FOR_ROWS:
        size = (positions * GROUP).to(tl.float32)
        mean_g = _sum_groups(gain * sum_g, WIDTH, GROUPS) / size
        mean_gn = _sum_groups(gain * sum_gn, WIDTH, GROUPS) / size
        for start in range(0, positions, POSITIONS):
            mask = (start + lines < positions) & exists[None, :]
            place = (start + lines) * channels + channel[None, :]
            normed = (tl.load(x + place, mask=mask, other=0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
            g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
            g = _pulled_back(g, normed, gain, offset, SILU) * gain[None, :]
            dx = (g - mean_g[None, :] - normed * mean_gn[None, :]) * rstd[None, :]
            tl.store(out + place, dx.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["samples", "batch"])
def _norm_kernel(
    sums, weight, bias, scale, scale_stride, of_weight, of_bias, of_scale, of_shift,
    samples, batch, channels,
    SCALE: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients of weight, bias, scale and shift from sums over positions [2 samples C]; sample s has row s % batch."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    total_g = tl.zeros((ROWS, CHANNELS), tl.float32)
    total_gn = tl.zeros((ROWS, CHANNELS), tl.float32)
    for start in range(0, batch, ROWS):
        row = start + tl.arange(0, ROWS)[:, None]
        mask = (row < batch) & exists[None, :]
        g = tl.zeros((ROWS, CHANNELS), tl.float32)
        gn = tl.zeros((ROWS, CHANNELS), tl.float32)
        for first in range(0, samples, batch):
            place = (first + row) * channels + channel[None, :]
            g += tl.load(sums + place, mask=mask, other=0.0)
            gn += tl.load(sums + samples * channels + place, mask=mask, other=0.0)
        if SCALE:
            own_weight = tl.load(weight + channel, mask=exists, other=0.0).to(tl.float32)
            own_bias = tl.load(bias + channel, mask=exists, other=0.0).to(tl.float32)
            factor = 1 + tl.load(scale + row * scale_stride + channel[None, :], mask=mask, other=0.0).to(tl.float32)
            place = row * channels + channel[None, :]
            dscale = gn * own_weight[None, :] + g * own_bias[None, :]
            tl.store(of_scale + place, dscale.to(of_scale.dtype.element_ty), mask=mask)
            tl.store(of_shift + place, g.to(of_shift.dtype.element_ty), mask=mask)
            g *= factor
            gn *= factor
        total_g += g
        total_gn += gn
    tl.store(of_weight + channel, tl.sum(total_gn, axis=0).to(of_weight.dtype.element_ty), mask=exists)
    tl.store(of_bias + channel, tl.sum(total_g, axis=0).to(of_bias.dtype.element_ty), mask=exists)


def forward(images: list[Tensor], norm: Norm, out: list[Tensor]) -> Tensor:
    """As `plain_forward` of group_norm.py."""
    samples = sum(len(image) for image in images)
    statistics = images[0].new_empty(2, samples, norm.groups, dtype=torch.float32)
    sizes, grid = _launch(images, norm)
    with _device(images[0]):
        _forward_kernel[grid](
            *_three(images),
            *_three(out),
            *_sizes(images),
            statistics,
            *_norm_arguments(norm, samples),
            *(norm.eps, norm.scale is not None, norm.silu),
            *sizes,
            num_warps=sizes.warps,
        )
    return statistics


def backward(
    grads: list[Tensor],
    statistics: Tensor,
    images: list[Tensor],
    norm: Norm,
    out: list[Tensor] | None,
    for_norm: bool,
) -> list[Tensor]:
    """As `plain_backward` of group_norm.py."""
    samples = sum(len(image) for image in images)
    sums = images[0].new_empty(2, samples, images[0].shape[2], dtype=torch.float32)
    sizes, grid = _launch(images, norm)
    with _device(images[0]):
        _backward_kernel[grid](
            *_three(images),
            *_three(grads),
            *_three(grads if out is None else out),  # not written if None
            *_sizes(images),
            *(sums, statistics),
            *_norm_arguments(norm, samples),
            *(norm.scale is not None, norm.silu, out is not None),
            *sizes,
            num_warps=sizes.warps,
        )
        return _norm_gradients(sums, norm) if for_norm else []


def _norm_gradients(sums: Tensor, norm: Norm) -> list[Tensor]:
    samples, channels = sums.shape[1:]
    weight, bias, scale, _, scale_stride, _, _, batch, *_ = _norm_arguments(norm, samples)
    grads = [x.new_empty(x.shape) for x in (norm.weight, norm.bias, norm.scale, norm.shift) if x is not None]
    _norm_kernel[(triton.cdiv(channels, 32),)](
        *(sums, weight, bias, scale, scale_stride),
        *(grads if len(grads) == 4 else grads + grads),  # without scale and shift their places are not written
        *(samples, batch, channels),
        SCALE=norm.scale is not None,
        ROWS=32,
        CHANNELS=32,
    )
    return grads


def _launch(images: list[Tensor], norm: Norm) -> tuple[Blocks, tuple[int, int]]:
    channels, samples = images[0].shape[2], sum(len(image) for image in images)
    positions = max(image.shape[1] for image in images)
    sizes = blocks(channels, norm.groups, samples, positions, images[0].element_size())
    return sizes, (triton.cdiv(norm.groups, sizes.GROUPS), samples)


def _three(images: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return images[0], images[min(1, len(images) - 1)], images[-1]


def _sizes(images: list[Tensor]) -> tuple[int, ...]:
    """First samples of the second and third image, and positions of all three."""
    first_1 = len(images[0])
    first_2 = first_1 + (len(images[1]) if len(images) > 1 else 0)
    return first_1, first_2, *(image.shape[1] for image in _three(images))


def _norm_arguments(norm: Norm, samples: int) -> tuple[Any, ...]:
    """Weight, bias, scale, shift (if None, the weight, which is then not read), strides, and sizes."""
    weight, bias = norm.weight.contiguous(), norm.bias.contiguous()
    channels = len(weight)
    if norm.scale is None or norm.shift is None:
        return weight, bias, weight, weight, 0, 0, samples, samples, channels, norm.groups
    scale, shift = (x if x.stride(1) == 1 else x.contiguous() for x in (norm.scale, norm.shift))
    strides = scale.stride(0), shift.stride(0)
    return weight, bias, scale, shift, *strides, samples, len(scale), channels, norm.groups


def _device(x: Tensor) -> AbstractContextManager[None]:
    """Triton launches on the current device."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()  # on a CPU, Triton's interpreter
