"""The linear layer of the Transformers; on a CPU through the faster of its two libraries.

PyTorch multiplies matrices with its BLAS and convolves with oneDNN, each by its own code for the processor at hand. On
some processors the BLAS reaches less than half of the other's rate, and a linear layer is a 1 x 1 convolution.
"""

import functools
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_WORK = 2**28
"""Multiplications below which the layer is not what a step waits for."""
CLEARLY = 1.4  # so that a disturbed race does not send the processes of a run along different routes


class Linear(nn.Linear):
    """As nn.Linear, x [... D] -> [... D']; both routes give the same numbers but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        if self._is_float32_work_of_a_cpu(x) and convolution_is_faster(torch.get_num_threads()):
            return as_convolution(x, self.weight, self.bias)
        return super().forward(x)

    def _is_float32_work_of_a_cpu(self, x: Tensor) -> bool:
        return (
            type(x) is Tensor  # no stand-in without contents, as those that count memory
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.numel() * self.out_features >= LEAST_WORK
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )


def as_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer as a 1 x 1 convolution of a picture one row high, its channels last, so that nothing is copied."""
    picture = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    convolved = F.conv2d(picture, weight[:, :, None, None], bias)
    return convolved.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


@functools.cache
def convolution_is_faster(threads: int) -> bool:
    """Whether this processor convolves clearly faster than it multiplies, found out once for a number of threads."""
    x, weight = torch.zeros(2048, 384), torch.zeros(1536, 384)

    def seconds(run: Callable[[Tensor, Tensor, None], Tensor]) -> float:
        started = time.perf_counter()
        run(x, weight, None)
        return time.perf_counter() - started

    with torch.no_grad():
        times = [(seconds(F.linear), seconds(as_convolution)) for _ in range(6)][1:]
    product, convolution = (min(column) for column in zip(*times))
    return product > CLEARLY * convolution
