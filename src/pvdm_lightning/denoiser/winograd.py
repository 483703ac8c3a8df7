"""A 3 x 3 convolution by fewer multiplications: Winograd's minimal filtering (Lavin and Gray, 2016, arXiv:1509.09308).

Tile by tile of M x M outputs the input becomes (M + 2)^2 values, products of each with one value made of the kernel are
summed over the channels, and M x M outputs are made of these sums: (M + 2)^2 / M^2 multiplications an output, not 9.
The steps that change a tile are matrices of small sides, so all of it is matrix products.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.polynomial import polynomial
from torch import Tensor

from pvdm_lightning.products import fastest_route

LARGE_TILE_FROM = 1024
"""Positions from which tiles of 4 x 4 outputs are the faster ones; for fewer, changing the kernel costs too much."""
# Points at which the tile's polynomials are evaluated, beside infinity. Those of M = 4 keep the error of the result
# at half of what the usual 0, 1, -1, 2, -2 make.
_POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.75, -0.75, 1.5, -1.5)}


class Transforms(NamedTuple):
    """Matrices for one size of image, A = M + 2, T and U tiles down and across.

    Args:
        kernel: [A*A 9], what becomes of a kernel.
        rows_in: [A T R], of a column of R inputs, the padding with zeros included.
        columns_in: [A*U W], of a row of W inputs.
        rows_out: [A T R], back to a column of R outputs.
        columns_out: [A*U W], back to a row of W outputs.
    """

    kernel: Tensor
    rows_in: Tensor
    columns_in: Tensor
    rows_out: Tensor
    columns_out: Tensor


def convolve_stack(x: Tensor, heights: list[int], weight: Tensor, bias: Tensor) -> Tensor:
    """Images below each other, x [B C R W], R the sum of their `heights`, convolved each with zeros around it.

    Args:
        x: Float32 of a CPU; elsewhere libraries have a way of their own.
        heights: Rows of each image.
        weight: [C' C 3 3].
        bias: [C'].

    Returns:
        [B C' R W]; 5 times the rounding error of a direct convolution, some 2e-6 of the values' deviation.
    """
    tile = 4 if len(x) * x.shape[2] * x.shape[3] >= LARGE_TILE_FROM else 2
    return _convolution(x, weight, bias, heights, tile)


@functools.cache
def transforms(heights: tuple[int, ...], width: int, tile: int) -> Transforms:
    """The matrices for images of `heights` x `width` below each other, in float32."""
    kernel, analysis, synthesis = _one_dimension(tile)

    def placed(matrix: np.ndarray, size: int, first: int) -> Tensor:
        """[A T size]: the rows of `matrix` [A .] at every tile, whose first value lies at `first`, cut to the image."""
        spread = np.zeros((len(matrix), -(-size // tile), size))
        for t in range(spread.shape[1]):
            for k in range(matrix.shape[1]):
                if 0 <= (position := tile * t + first + k) < size:
                    spread[:, t, position] = matrix[:, k]
        return torch.from_numpy(spread).float()

    def below(matrix: np.ndarray, first: int) -> Tensor:
        each = [placed(matrix, height, first) for height in heights]
        return torch.stack([torch.block_diag(*blocks) for blocks in zip(*each, strict=True)])

    both = np.einsum("ia,jb->ijab", kernel, kernel).reshape(-1, 9)
    return Transforms(
        torch.from_numpy(both).float(),
        below(analysis, -1),
        placed(analysis, width, -1).flatten(0, 1),
        below(synthesis, 0),
        placed(synthesis, width, 0).flatten(0, 1),
    )


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


def _analyse(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images [B C R W] -> tiles [A*A N C], N all tiles of the batch."""
    batch, channels, height, width = x.shape
    lines = (columns @ x.reshape(-1, width).t()).view(-1, channels, height).transpose(1, 2)
    tiles = x.new_empty(len(rows), len(lines), rows.shape[1], channels)
    for row, out in zip(rows, tiles, strict=True):
        torch.bmm(row.expand(len(lines), -1, -1), lines, out=out)
    return tiles.view(len(rows) ** 2, -1, channels)


def _synthesise(tiles: Tensor, rows: Tensor, columns: Tensor, batch: int) -> Tensor:
    """Sums [A*A N C] -> images [B C R W]; the transpose of `_analyse`."""
    size, down, height = rows.shape
    tiles = tiles.view(size, -1, down, tiles.shape[2]).transpose(2, 3)
    lines = torch.bmm(tiles[0], rows[0].expand(tiles.shape[1], -1, -1))
    for part, row in zip(tiles[1:], rows[1:], strict=True):
        lines.baddbmm_(part, row.expand(tiles.shape[1], -1, -1))
    images = lines.view(len(columns), -1).t() @ columns
    return images.view(batch, -1, height, columns.shape[1])


def _kernels(weight: Tensor, to_tile: Tensor) -> Tensor:
    """Weight [C' C 3 3] -> [A*A C' C]."""
    return (to_tile @ weight.reshape(-1, 9).t()).view(-1, *weight.shape[:2])


@torch.library.custom_op("pvdm_lightning::winograd", mutates_args=())
def _convolution(x: Tensor, weight: Tensor, bias: Tensor, heights: list[int], tile: int) -> Tensor:
    by = transforms(tuple(heights), x.shape[3], tile)
    with fastest_route():
        sums = torch.bmm(_analyse(x, by.rows_in, by.columns_in), _kernels(weight, by.kernel).transpose(1, 2))
        return _synthesise(sums, by.rows_out, by.columns_out, len(x)).add_(bias[:, None, None])


@torch.library.custom_op("pvdm_lightning::winograd_backward", mutates_args=())
def _gradients_of(grad: Tensor, x: Tensor, weight: Tensor, heights: list[int], tile: int) -> tuple[Tensor, Tensor]:
    by = transforms(tuple(heights), x.shape[3], tile)
    with fastest_route():
        grad_sums = _analyse(grad, by.rows_out, by.columns_out)
        grad_tiles = torch.bmm(grad_sums, _kernels(weight, by.kernel))
        grad_x = _synthesise(grad_tiles, by.rows_in, by.columns_in, len(x))
        del grad_tiles
        # Not kept from the forward pass: they are larger than x, and quickly made.
        grad_kernels = torch.bmm(grad_sums.transpose(1, 2), _analyse(x, by.rows_in, by.columns_in))
        return grad_x, (grad_kernels.flatten(1).t() @ by.kernel).view_as(weight)


@_convolution.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, heights: list[int], tile: int) -> Tensor:
    return x.new_empty(len(x), len(weight), *x.shape[2:])


@_gradients_of.register_fake
def _(grad: Tensor, x: Tensor, weight: Tensor, heights: list[int], tile: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty_like(weight)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, list[int], int], output: Tensor) -> None:
    x, weight, _, ctx.heights, ctx.tile = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
    grad_x, grad_weight = _gradients_of(grad, *ctx.saved_tensors, ctx.heights, ctx.tile)
    return grad_x, grad_weight, grad.sum((0, 2, 3)), None, None


_convolution.register_autograd(_gradients, setup_context=_keep)
