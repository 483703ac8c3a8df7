"""A 3 x 3 convolution by fewer multiplications: Winograd's minimal filtering (Lavin and Gray, 2016, arXiv:1509.09308).

Tile by tile of M x M outputs the (M + 2)^2 inputs they see become as many values, products of each with one value made
of the kernel are summed over the channels, and the outputs are made of these sums: (M + 2)^2 / M^2 multiplications an
output, not 9. Channels lie last meanwhile: tiles are then gathered and placed in long runs.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.polynomial import polynomial
from torch import Tensor
from torch.nn import functional as F

from pvdm_lightning.cpu.onednn import fastest_library

LARGE_TILE_FROM = 1024
"""Positions from which tiles of 4 x 4 outputs are the faster ones; for fewer, changing the kernel costs too much."""
# Points at which the tile's polynomials are evaluated, beside infinity. Those of M = 4 keep the error of the result
# at half of what the usual 0, 1, -1, 2, -2 make.
_POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}


class Transforms(NamedTuple):
    """Matrices of one size of tile, A = M + 2.

    Args:
        kernel: [A*A 9], what becomes of a kernel.
        analysis: [A*A A*A], of the inputs that a tile sees.
        synthesis: [A*A M*M], of a tile's outputs; its transpose leads from sums to outputs.
    """

    kernel: Tensor
    analysis: Tensor
    synthesis: Tensor


def convolve(images: list[Tensor], weight: Tensor, bias: Tensor) -> list[Tensor]:
    """Images of any sizes, each [B C R Q], convolved with zeros around them.

    Args:
        images: Float32 of a CPU; elsewhere libraries have a way of their own.
        weight: [C' C 3 3].
        bias: [C'].

    Returns:
        [B C' R Q] each; 5 times the rounding error of a direct convolution, some 2e-6 of the values' deviation.
    """
    positions = sum(len(image) * image.shape[2] * image.shape[3] for image in images)
    return _convolution(images, weight, bias, 4 if positions >= LARGE_TILE_FROM else 2)


@functools.cache
def transforms(tile: int) -> Transforms:
    """The matrices in float32."""
    both = (np.einsum("ia,jb->ijab", one, one) for one in _one_dimension(tile))
    size = (tile + 2) ** 2
    return Transforms(*(torch.from_numpy(matrix.reshape(size, -1)).float() for matrix in both))


def _one_dimension(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel [A 3], input [A A] and output [A M] matrices of M outputs in a row (Toom-Cook)."""
    points, size = np.array(_POINTS[tile]), tile + 2
    kernel, analysis, synthesis = np.zeros((size, 3)), np.zeros((size, size)), np.zeros((size, tile))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        # A power of two takes the kernel's values to a size of 1, exactly.
        scale = 2.0 ** np.round(np.log2(np.abs(point ** np.arange(3) / np.prod(point - others)).max()))
        kernel[i] = point ** np.arange(3) / np.prod(point - others) / scale
        analysis[i, :-1] = polynomial.polyfromroots(others) * scale
        synthesis[i] = point ** np.arange(tile)
    kernel[-1, -1] = synthesis[-1, -1] = 1.0
    analysis[-1] = polynomial.polyfromroots(points)
    return kernel, analysis, synthesis


def _grid(image: Tensor, tile: int) -> tuple[int, int, int]:
    """Images of the batch, tiles down and tiles across."""
    return len(image), -(-image.shape[2] // tile), -(-image.shape[3] // tile)


def _gather(images: list[Tensor], tile: int, margin: int) -> Tensor:
    """Images [B C R Q] -> [(M + 2 margin)^2 N C], the M x M cells of all N tiles and a margin around each."""
    size, cells = tile + 2 * margin, []
    for image in images:
        rows, columns = image.shape[2:]
        _, down, across = _grid(image, tile)
        padded = image.permute(0, 2, 3, 1)
        if margin or rows % tile or columns % tile:
            below, right = (count * tile - side + margin for count, side in ((down, rows), (across, columns)))
            padded = F.pad(padded, (0, 0, margin, right, margin, below))
        cells.append(padded.unfold(1, size, tile).unfold(2, size, tile).permute(4, 5, 0, 1, 2, 3))
    counts = [math.prod(cell.shape[2:5]) for cell in cells]
    gathered = images[0].new_empty(size, size, sum(counts), images[0].shape[1])
    for part, cell in zip(gathered.split(counts, dim=2), cells, strict=True):
        part.unflatten(2, cell.shape[2:5]).copy_(cell)
    return gathered.flatten(0, 1)


def _place(tiles: Tensor, like: list[Tensor], tile: int, margin: int) -> list[Tensor]:
    """[(M + 2 margin)^2 N C] -> images [B C R Q] with the sizes of those `like`; margins are added up."""
    size, channels = tile + 2 * margin, tiles.shape[2]
    grids = [_grid(image, tile) for image in like]
    parts = tiles.unflatten(0, (size, size)).split([math.prod(grid) for grid in grids], dim=2)
    images = []
    for image, grid, part in zip(like, grids, parts, strict=True):
        (batch, down, across), (rows, columns) = grid, image.shape[2:]
        part = part.unflatten(2, grid).permute(2, 3, 0, 4, 1, 5)
        more = int(margin > 0)
        padded = tiles.new_zeros(batch, down + more, tile, across + more, tile, channels)
        # A tile's first M x M cells are its own; the rest, if any, belong to the next tiles too.
        for i, row in enumerate(part.split(tile, dim=2)):
            for j, piece in enumerate(row.split(tile, dim=4)):
                padded[:, i : i + down, : piece.shape[2], j : j + across, : piece.shape[4]] += piece
        whole = padded.flatten(3, 4).flatten(1, 2)[:, margin : margin + rows, margin : margin + columns]
        images.append(whole.contiguous().permute(0, 3, 1, 2))
    return images


def _times(matrix: Tensor, tiles: Tensor) -> Tensor:
    """[X Y] times [Y N C] -> [X N C]."""
    return (matrix @ tiles.flatten(1)).view(-1, *tiles.shape[1:])


def _kernels(weight: Tensor, to_tile: Tensor) -> Tensor:
    """Weight [C' C 3 3] -> [A*A C' C]."""
    return (to_tile @ weight.reshape(-1, 9).t()).view(-1, *weight.shape[:2])


@torch.library.custom_op("pvdm_lightning::winograd", mutates_args=())
def _convolution(images: list[Tensor], weight: Tensor, bias: Tensor, tile: int) -> list[Tensor]:
    by = transforms(tile)
    with fastest_library():
        values = _times(by.analysis, _gather(images, tile, margin=1))
        sums = torch.bmm(values, _kernels(weight, by.kernel).transpose(1, 2))
        return _place(_times(by.synthesis.t(), sums).add_(bias), images, tile, margin=0)


@torch.library.custom_op("pvdm_lightning::winograd_backward", mutates_args=())
def _gradients_of(grads: list[Tensor], images: list[Tensor], weight: Tensor, tile: int) -> tuple[list[Tensor], Tensor]:
    by = transforms(tile)
    with fastest_library():
        grad_sums = _times(by.synthesis, _gather(grads, tile, margin=0))
        grad_values = torch.bmm(grad_sums, _kernels(weight, by.kernel))
        grad_images = _place(_times(by.analysis.t(), grad_values), images, tile, margin=1)
        del grad_values
        # Not kept from the forward pass: they are larger than the images, and quickly made.
        values = _times(by.analysis, _gather(images, tile, margin=1))
        grad_kernels = torch.bmm(grad_sums.transpose(1, 2), values)
        return grad_images, (grad_kernels.flatten(1).t() @ by.kernel).view_as(weight)


@_convolution.register_fake
def _(images: list[Tensor], weight: Tensor, bias: Tensor, tile: int) -> list[Tensor]:
    return [_empty(image, len(weight)) for image in images]


@_gradients_of.register_fake
def _(grads: list[Tensor], images: list[Tensor], weight: Tensor, tile: int) -> tuple[list[Tensor], Tensor]:
    return [_empty(image, image.shape[1]) for image in images], weight.new_empty(weight.shape)


def _empty(image: Tensor, channels: int) -> Tensor:
    """Of other channels, in channels-last memory."""
    return image.new_empty(len(image), *image.shape[2:], channels).permute(0, 3, 1, 2)


def _keep(ctx: Any, inputs: tuple[list[Tensor], Tensor, Tensor, int], output: list[Tensor]) -> None:
    images, weight, _, ctx.tile = inputs
    ctx.save_for_backward(weight, *images)


def _gradients(ctx: Any, grads: list[Tensor]) -> tuple[list[Tensor], Tensor, Tensor, None]:
    weight, *images = ctx.saved_tensors
    grad_images, grad_weight = _gradients_of(grads, images, weight, ctx.tile)
    grad_bias = torch.stack([grad.sum((0, 2, 3)) for grad in grads]).sum(0)
    return grad_images, grad_weight, grad_bias, None


_convolution.register_autograd(_gradients, setup_context=_keep)
