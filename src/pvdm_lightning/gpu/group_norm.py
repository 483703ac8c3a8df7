"""Group norm, scale and shift, and SiLU as one operator. The plain PyTorch code here defines what the kernels compute.

The images are rows: of each sample all positions, of each position all channels, which is channels-last memory. They
are read, and the result is written, in their own dtype. Statistics and arithmetic are in float32 (float64 for float64
images), but nothing as large as the images is stored in it, nor kept for the backward pass, which computes anew from
the images and two numbers per sample and group.

NVIDIA apex has a similar kernel, which takes 16 or 32 groups only, does not take the 384 channels of PVDM-S, and has
neither scale nor shift.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.gpu.availability import takes_kernels


def group_norm(
    images: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    silu: bool = False,
) -> list[Tensor]:
    """Normalize each sample of each image by groups of channels, then scale and shift, then SiLU.

    Args:
        images: One to three images [B' C R Q] of any sizes, with the same C and dtype. Images in channels-last memory
            are read in place, others are copied.
        weight: [C].
        bias: [C].
        groups: Groups of channels, a divisor of C.
        eps: Added to the variance.
        scale: [B C]; the normalized values are multiplied by 1 + scale. Each B' is a multiple of B, and sample b takes
            row b % B. None for neither scale nor shift.
        shift: [B C], added after that.
        silu: Whether to apply SiLU.

    Returns:
        Images of the same sizes and dtype in channels-last memory. They are not views of one buffer, because autograd
        would copy the gradients of those to join them.
    """
    out = _normalize(*_rows(images), Norm(weight, bias, groups, eps, scale, shift, silu), False)
    shapes = [(image.shape[0], *image.shape[2:]) for image in images]
    return [part.unflatten(0, shape).permute(0, 3, 1, 2) for part, shape in zip(out, shapes, strict=True)]


def group_norm_rows(
    rows: Tensor,
    sizes: Sequence[tuple[int, int]],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    silu: bool = False,
) -> Tensor:
    """`group_norm` of images in one buffer, whose gradient is one buffer, too.

    Args:
        rows: [N C], one to three images one after another.
        sizes: Samples B' and positions R*Q of each image.
        weight: As in `group_norm`, like all that follow.
    """
    (out,) = _normalize([rows], sizes, Norm(weight, bias, groups, eps, scale, shift, silu), True)
    return out


def group_norm_parts(
    rows: Tensor,
    sizes: Sequence[tuple[int, int]],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    silu: bool = False,
) -> list[Tensor]:
    """`group_norm_rows` that returns the rows [N C] of each image, not in one buffer, as `group_norm`."""
    return _normalize([rows], sizes, Norm(weight, bias, groups, eps, scale, shift, silu), False)


class Norm(NamedTuple):
    """What is done to the images, as the arguments of `group_norm` describe it."""

    weight: Tensor
    bias: Tensor
    groups: int
    eps: float
    scale: Tensor | None
    shift: Tensor | None
    silu: bool


def _rows(images: Sequence[Tensor]) -> tuple[list[Tensor], list[tuple[int, int]]]:
    """Images [B' C R Q] -> rows [B'*R*Q C] of each, and its samples and positions."""
    sizes = [(image.shape[0], image.shape[2] * image.shape[3]) for image in images]
    return [image.permute(0, 2, 3, 1).flatten(0, 2) for image in images], sizes


def _normalize(rows: list[Tensor], sizes: Sequence[tuple[int, int]], norm: Norm, joined: bool) -> list[Tensor]:
    assert 1 <= len(sizes) <= 3 and (norm.scale is None) == (norm.shift is None)
    assert norm.scale is None or all(samples % norm.scale.shape[0] == 0 for samples, _ in sizes)
    samples, positions = [samples for samples, _ in sizes], [positions for _, positions in sizes]
    return _group_norm(rows, samples, positions, joined, *norm)[1:]


@torch.library.custom_op("pvdm_lightning::group_norm", mutates_args=())
def _group_norm(
    rows: Sequence[Tensor],  # one buffer of all images, or one of each
    samples: Sequence[int],
    positions: Sequence[int],
    joined: bool,
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    silu: bool,
) -> list[Tensor]:
    """Mean and 1 / std of each group [2 samples groups], then rows: one buffer if `joined`, else one of each image."""
    images = _images(rows, samples, positions)
    out = _new_rows(images, joined)
    kernel = _kernel(images[0])
    forward = plain_forward if kernel is None else kernel.forward
    statistics = forward(images, Norm(weight, bias, groups, eps, scale, shift, silu), _images(out, samples, positions))
    return [statistics, *out]


@torch.library.custom_op("pvdm_lightning::group_norm_backward", mutates_args=())
def _group_norm_backward(
    grads: Sequence[Tensor],  # likewise one or several
    statistics: Tensor,
    for_rows: bool,
    for_norm: bool,
    rows: Sequence[Tensor],
    samples: Sequence[int],
    positions: Sequence[int],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    silu: bool,
) -> list[Tensor]:
    """Gradients of the rows [N C], then of weight, bias, scale and shift; those asked for and given."""
    images = _images(rows, samples, positions)
    out = _new_rows(images, joined=True) if for_rows else []
    kernel = _kernel(images[0])
    backward = plain_backward if kernel is None else kernel.backward
    norm = Norm(weight, bias, groups, eps, scale, shift, silu)
    grad_images, out_images = _images(grads, samples, positions), _images(out, samples, positions) if for_rows else None
    return [*out, *backward(grad_images, statistics, images, norm, out_images, for_norm)]


def _new_rows(images: list[Tensor], joined: bool) -> list[Tensor]:
    """Memory for a result."""
    sizes = [len(image) * image.shape[1] for image in images]
    return [images[0].new_empty(size, images[0].shape[2]) for size in ([sum(sizes)] if joined else sizes)]


def _images(rows: Sequence[Tensor], samples: Sequence[int], positions: Sequence[int]) -> list[Tensor]:
    """Rows [N C] -> images [B' R*Q C]."""
    parts = [part.contiguous() for part in rows]
    if len(parts) == 1:
        parts = list(parts[0].split([b * n for b, n in zip(samples, positions, strict=True)]))
    return [part.view(b, n, -1) for part, b, n in zip(parts, samples, positions, strict=True)]


def _kernel(x: Tensor) -> ModuleType | None:
    """The module with kernels for this tensor, or None for the plain code."""
    if takes_kernels(x):
        from pvdm_lightning.gpu import group_norm_kernel

        return group_norm_kernel
    return None


@_group_norm.register_fake
def _(
    rows: Sequence[Tensor], samples: Sequence[int], positions: Sequence[int], joined: bool, *norm: Any
) -> list[Tensor]:
    x, sizes = rows[0], [b * n for b, n in zip(samples, positions, strict=True)]
    statistics = x.new_empty(2, sum(samples), Norm(*norm).groups, dtype=_compute_dtype(x))
    return [statistics, *(x.new_empty(size, x.shape[1]) for size in ([sum(sizes)] if joined else sizes))]


@_group_norm_backward.register_fake
def _(
    grads: Sequence[Tensor],
    statistics: Tensor,
    for_rows: bool,
    for_norm: bool,
    rows: Sequence[Tensor],
    samples: Sequence[int],
    positions: Sequence[int],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    silu: bool,
) -> list[Tensor]:
    x, size = rows[0], sum(b * n for b, n in zip(samples, positions, strict=True))
    out = [x.new_empty(size, x.shape[1])] if for_rows else []
    if for_norm:
        out += [x.new_empty(x.shape) for x in (weight, bias, scale, shift) if x is not None]
    return out


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    rows, ctx.samples, ctx.positions, _, weight, bias, ctx.groups, ctx.eps, scale, shift, ctx.silu = inputs
    ctx.set_materialize_grads(False)  # the statistics have none
    ctx.save_for_backward(output[0], weight, bias, scale, shift, *rows)
    ctx.shapes = [x.shape for x in output[1:]]


def _gradients(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    statistics, weight, bias, scale, shift, *rows = ctx.saved_tensors
    needed = ctx.needs_input_grad
    if all(grad is None for grad in grads[1:]):
        return [None] * len(rows), *[None] * (len(needed) - 1)
    given = [
        rows[0].new_zeros(shape) if grad is None else grad for grad, shape in zip(grads[1:], ctx.shapes, strict=True)
    ]
    for_rows, for_norm = any(needed[0]), any(needed[4:])
    norm = Norm(weight, bias, ctx.groups, ctx.eps, scale, shift, ctx.silu)
    out = _group_norm_backward(given, statistics, for_rows, for_norm, rows, ctx.samples, ctx.positions, *norm)
    grad_rows: list[Tensor | None] = [None] * len(rows)
    if for_rows:
        joined = out.pop(0)
        grad_rows = [joined] if len(rows) == 1 else list(joined.split([part.shape[0] for part in rows]))
    of_weight, of_bias, of_scale, of_shift = [*out, None, None, None, None][:4]
    return grad_rows, None, None, None, of_weight, of_bias, None, None, of_scale, of_shift, None


_group_norm.register_autograd(_gradients, setup_context=_keep)


def plain_forward(images: list[Tensor], norm: Norm, out: list[Tensor]) -> Tensor:
    """The definition: normalize images [B' R*Q C] into `out`; returns mean and 1 / std of groups [2 samples groups]."""
    statistics = []
    for image, result in zip(images, out, strict=True):
        x = image.to(_compute_dtype(image)).unflatten(2, (norm.groups, -1))
        variance, mean = torch.var_mean(x, dim=(1, 3), correction=0)
        statistics.append(torch.stack([mean, (variance + norm.eps).rsqrt()]))
        gain, offset = _gain_and_offset(norm, image)
        y = torch.addcmul(offset, gain, _normalized(image, statistics[-1]))
        result.copy_(F.silu(y) if norm.silu else y)
    return torch.cat(statistics, dim=1)


def plain_backward(
    grads: list[Tensor],
    statistics: Tensor,
    images: list[Tensor],
    norm: Norm,
    out: list[Tensor] | None,
    for_norm: bool,
) -> list[Tensor]:
    """Write the gradients of the images into `out`, unless None; return those of weight, bias, scale and shift.

    With n the normalized values, g the gradient of gain * n + offset, and means over the positions and channels of a
    group: dx = (gain * g - mean(gain * g) - n * mean(gain * g * n)) / std.
    """
    sums = []
    own = statistics.split([len(image) for image in images], dim=1)
    for i, image in enumerate(images):
        normed = _normalized(image, own[i])
        gain, offset = _gain_and_offset(norm, image)
        g = grads[i].to(normed.dtype)
        if norm.silu:
            y = torch.addcmul(offset, gain, normed)
            sigmoid = y.sigmoid()
            g = g * sigmoid * (1 + y * (1 - sigmoid))
        sums.append(torch.stack([g.sum(1), (g * normed).sum(1)]))
        if out is not None:
            means = (sums[i] * gain[:, 0]).unflatten(2, (norm.groups, -1)).mean(3) / image.shape[1]
            mean_g, mean_gn, rstd = (_per_channel(x, image) for x in (*means, own[i][1]))
            out[i].copy_((gain * g - mean_g - normed * mean_gn) * rstd)
    return _norm_gradients(torch.cat(sums, dim=1), norm) if for_norm else []


def _norm_gradients(sums: Tensor, norm: Norm) -> list[Tensor]:
    """Gradients of weight, bias and, if given, scale and shift, from the sums of g and of g * n over positions."""
    weight, bias, _, _, scale, shift, _ = norm
    if scale is None or shift is None:
        return [sums[1].sum(0).to(weight.dtype), sums[0].sum(0).to(bias.dtype)]
    g, gn = sums.unflatten(1, (-1, len(scale))).sum(1)  # samples that share a row of scale and shift
    gain = 1 + scale.to(sums.dtype)
    of_scale = gn * weight.to(sums.dtype) + g * bias.to(sums.dtype)
    of_weight, of_bias = (gain * gn).sum(0), (gain * g).sum(0)
    return [of_weight.to(weight.dtype), of_bias.to(bias.dtype), of_scale.to(scale.dtype), g.to(shift.dtype)]


def _normalized(image: Tensor, statistics: Tensor) -> Tensor:
    """Images [B' N C] and mean and 1 / std of their groups [2 B' groups] -> normalized images."""
    mean, rstd = (_per_channel(x, image) for x in statistics)
    return (image.to(mean.dtype) - mean) * rstd


def _per_channel(x: Tensor, image: Tensor) -> Tensor:
    """Numbers of groups [B' groups] -> [B' 1 C]."""
    return x.repeat_interleave(image.shape[2] // x.shape[1], dim=1)[:, None]


def _gain_and_offset(norm: Norm, image: Tensor) -> tuple[Tensor, Tensor]:
    """What the normalized values are multiplied by, and what is added: [B' 1 C], or [1 1 C] for all samples."""
    dtype = _compute_dtype(image)
    gain, offset = norm.weight.to(dtype)[None, None], norm.bias.to(dtype)[None, None]
    if norm.scale is not None and norm.shift is not None:
        times = (len(image) // len(norm.scale), 1, 1)
        scale, shift = (x.to(dtype)[:, None].repeat(times) for x in (norm.scale, norm.shift))
        gain, offset = gain * (1 + scale), torch.addcmul(shift, offset, 1 + scale)
    return gain, offset


def _compute_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
