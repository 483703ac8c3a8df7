"""Group norm, scale and shift, and SiLU as one operator. The plain PyTorch code here defines what the kernels compute.

The images are rows: of each sample all positions, of each position all channels, which is channels-last memory. They
are read, and the result is written, in their own dtype. Statistics and arithmetic are in float32 (float64 for float64
images), but nothing as large as the images is stored in it, nor kept for the backward pass, which computes anew from
the images and two numbers per sample and group.

NVIDIA apex has a similar kernel, which takes 16 or 32 groups only, does not take the 384 channels of PVDM-S, and has
neither scale nor shift.
"""

import functools
import importlib.util
import logging
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

logger = logging.getLogger(__name__)


def group_norm(
    images: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    silu: bool = False,
) -> Tensor:
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
        Rows [N C], image after image, in the dtype of the images.
    """
    rows = [image.permute(0, 2, 3, 1).flatten(0, 2) for image in images]
    sizes = [(image.shape[0], image.shape[2] * image.shape[3]) for image in images]
    return _normalize(rows, sizes, Norm(weight, bias, groups, eps, scale, shift, silu))


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
    """`group_norm` of images that are one buffer already.

    Their gradient is then written as one buffer. Autograd would copy the gradients of images that are views of `rows`
    to join them.

    Args:
        rows: [N C], one to three images one after another.
        sizes: Samples B' and positions R*Q of each image.
        weight: As in `group_norm`, like all that follow.
    """
    return _normalize([rows], sizes, Norm(weight, bias, groups, eps, scale, shift, silu))


class Norm(NamedTuple):
    """What is done to the images, as the arguments of `group_norm` describe it."""

    weight: Tensor
    bias: Tensor
    groups: int
    eps: float
    scale: Tensor | None
    shift: Tensor | None
    silu: bool


def _normalize(rows: list[Tensor], sizes: Sequence[tuple[int, int]], norm: Norm) -> Tensor:
    assert 1 <= len(sizes) <= 3 and (norm.scale is None) == (norm.shift is None)
    assert norm.scale is None or all(samples % norm.scale.shape[0] == 0 for samples, _ in sizes)
    out, _ = _group_norm(rows, [samples for samples, _ in sizes], [positions for _, positions in sizes], *norm)
    return out


@torch.library.custom_op("pvdm_lightning::group_norm", mutates_args=())
def _group_norm(
    rows: Sequence[Tensor],  # one buffer of all images, or one of each
    samples: Sequence[int],
    positions: Sequence[int],
    weight: Tensor,
    bias: Tensor,
    groups: int,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    silu: bool,
) -> tuple[Tensor, Tensor]:
    """Rows [N C], and mean and 1 / std of each group [2 samples groups]."""
    images = _images(rows, samples, positions)
    kernel = _kernel(images[0])
    forward = plain_forward if kernel is None else kernel.forward
    return forward(images, Norm(weight, bias, groups, eps, scale, shift, silu))


@torch.library.custom_op("pvdm_lightning::group_norm_backward", mutates_args=())
def _group_norm_backward(
    grad: Tensor,
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
    kernel = _kernel(images[0])
    backward = plain_backward if kernel is None else kernel.backward
    norm = Norm(weight, bias, groups, eps, scale, shift, silu)
    return backward(grad.contiguous(), statistics, images, norm, for_rows, for_norm)


def _images(rows: Sequence[Tensor], samples: Sequence[int], positions: Sequence[int]) -> list[Tensor]:
    """Rows [N C] -> images [B' R*Q C]."""
    parts = [part.contiguous() for part in rows]
    if len(parts) == 1:
        parts = list(parts[0].split([b * n for b, n in zip(samples, positions, strict=True)]))
    return [part.view(b, n, -1) for part, b, n in zip(parts, samples, positions, strict=True)]


def _kernel(x: Tensor) -> ModuleType | None:
    """The module with kernels for this tensor, or None for the plain code."""
    if x.is_cuda and x.dtype != torch.float64 and _runs_triton(x.device):
        from pvdm_lightning.gpu import group_norm_kernel

        return group_norm_kernel
    return None


@functools.cache
def _runs_triton(device: torch.device) -> bool:
    """Whether Triton is installed (not on Windows), supports the GPU, and could build its driver for it."""
    if importlib.util.find_spec("triton") is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        from triton.runtime import driver

        driver.active.get_current_target()  # compiles C code where that was not done before
    except Exception as error:
        logger.warning(
            "Group norms run in plain PyTorch, which is slower, because Triton does not work here. It needs a C "
            "compiler and Python's headers, such as the packages gcc and python3-dev. It says: %s",
            error,
        )
        return False
    return True


@_group_norm.register_fake
def _(rows: Sequence[Tensor], samples: Sequence[int], positions: Sequence[int], *norm: Any) -> tuple[Tensor, Tensor]:
    x, groups = rows[0], Norm(*norm).groups
    out = x.new_empty(sum(part.shape[0] for part in rows), x.shape[1])
    return out, x.new_empty(2, sum(samples), groups, dtype=_compute_dtype(x))


@_group_norm_backward.register_fake
def _(
    grad: Tensor,
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
    grads = [rows[0].new_empty(grad.shape)] if for_rows else []
    if for_norm:
        grads += [x.new_empty(x.shape) for x in (weight, bias, scale, shift) if x is not None]
    return grads


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    rows, ctx.samples, ctx.positions, *norm = inputs
    weight, bias, ctx.groups, ctx.eps, scale, shift, ctx.silu = norm
    ctx.set_materialize_grads(False)  # the statistics have none
    ctx.save_for_backward(output[1], weight, bias, scale, shift, *rows)


def _gradients(ctx: Any, grad: Tensor | None, _: None) -> tuple[Any, ...]:
    statistics, weight, bias, scale, shift, *rows = ctx.saved_tensors
    needed = ctx.needs_input_grad
    if grad is None:
        return [None] * len(rows), *[None] * (len(needed) - 1)
    for_rows, for_norm = any(needed[0]), any(needed[3:])
    norm = Norm(weight, bias, ctx.groups, ctx.eps, scale, shift, ctx.silu)
    grads = _group_norm_backward(grad, statistics, for_rows, for_norm, rows, ctx.samples, ctx.positions, *norm)
    grad_rows: list[Tensor | None] = [None] * len(rows)
    if for_rows:
        joined = grads.pop(0)
        grad_rows = [joined] if len(rows) == 1 else list(joined.split([part.shape[0] for part in rows]))
    of_weight, of_bias, of_scale, of_shift = [*grads, None, None, None, None][:4]
    return grad_rows, None, None, of_weight, of_bias, None, None, of_scale, of_shift, None


_group_norm.register_autograd(_gradients, setup_context=_keep)


def plain_forward(images: list[Tensor], norm: Norm) -> tuple[Tensor, Tensor]:
    """The definition: images [B' R*Q C] -> rows [N C], and mean and 1 / std of each group [2 samples groups]."""
    out, statistics = [], []
    for image in images:
        x = image.to(_compute_dtype(image)).unflatten(2, (norm.groups, -1))
        variance, mean = torch.var_mean(x, dim=(1, 3), correction=0)
        statistics.append(torch.stack([mean, (variance + norm.eps).rsqrt()]))
        gain, offset = _gain_and_offset(norm, image)
        y = torch.addcmul(offset, gain, _normalized(image, statistics[-1]))
        out.append((F.silu(y) if norm.silu else y).to(image.dtype).flatten(0, 1))
    return torch.cat(out), torch.cat(statistics, dim=1)


def plain_backward(
    grad: Tensor, statistics: Tensor, images: list[Tensor], norm: Norm, for_rows: bool, for_norm: bool
) -> list[Tensor]:
    """The gradients of the rows [N C], then of weight, bias, scale and shift; those asked for and given.

    With n the normalized values, g the gradient of gain * n + offset, and means over the positions and channels of a
    group: dx = (gain * g - mean(gain * g) - n * mean(gain * g * n)) / std.
    """
    grads = grad.split([len(image) * image.shape[1] for image in images])
    grad_rows, sums = [], []
    for image, own, g in zip(images, statistics.split([len(x) for x in images], dim=1), grads, strict=True):
        normed = _normalized(image, own)
        gain, offset = _gain_and_offset(norm, image)
        g = g.view_as(image).to(normed.dtype)
        if norm.silu:
            y = torch.addcmul(offset, gain, normed)
            sigmoid = y.sigmoid()
            g = g * sigmoid * (1 + y * (1 - sigmoid))
        sums.append(torch.stack([g.sum(1), (g * normed).sum(1)]))
        if for_rows:
            means = (sums[-1] * gain[:, 0]).unflatten(2, (norm.groups, -1)).mean(3) / image.shape[1]
            mean_g, mean_gn, rstd = (_per_channel(x, image) for x in (*means, own[1]))
            grad_rows.append(((gain * g - mean_g - normed * mean_gn) * rstd).to(image.dtype).flatten(0, 1))
    rows_first = [torch.cat(grad_rows)] if for_rows else []
    return [*rows_first, *_norm_gradients(torch.cat(sums, dim=1), norm)] if for_norm else rows_first


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
