"""Which of a CPU's two libraries multiplies float32 matrices: PyTorch's BLAS, or oneDNN, which convolves.

On some processors the BLAS has no code for their widest instructions and reaches half of oneDNN's rate. PyTorch hands
products to oneDNN where it is told that they may be rounded to bfloat16. On a processor that multiplies bfloat16 no
faster oneDNN then computes in float32 all the same; whether this one does is measured, not assumed.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

CLEARLY = 1.1  # so that equally fast libraries are not told apart by a disturbed race
_ROWS, _DEPTH, _COLUMNS = 1024, 9216, 64  # as deep convolutions of PVDM-L, where the libraries differ most
_ROUNDS = 6


@contextmanager
def through_onednn() -> Iterator[None]:
    """Hand float32 products inside to oneDNN; only where `onednn_is_better`."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def fastest_route() -> AbstractContextManager[None]:
    """Float32 products inside go the faster way; for real tensors alone, as the body of an operator has."""
    return through_onednn() if onednn_is_better(torch.get_num_threads()) else nullcontext()


def in_float32_on_cpu(*tensors: Tensor) -> bool:
    """Whether all are float32 of a CPU, neither cast nor stand-ins without contents."""
    return (
        all(type(x) in (Tensor, nn.Parameter) for x in tensors)
        and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


def may_choose(*tensors: Tensor) -> bool:
    """Whether oneDNN may take them and is better."""
    return in_float32_on_cpu(*tensors) and _chosen()


@torch.compiler.assume_constant_result
def _chosen() -> bool:
    return onednn_is_better(torch.get_num_threads())


@functools.cache
def onednn_is_better(threads: int) -> bool:
    """Whether oneDNN is clearly faster and as exact, found out once for a number of threads; about 0.1 s."""
    if not hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision"):
        return False  # an older PyTorch
    draws = torch.Generator().manual_seed(0)
    a = torch.randn(_ROWS, _DEPTH, generator=draws)
    b = torch.randn(_DEPTH, _COLUMNS, generator=draws)

    def plain() -> Tensor:
        return a @ b

    def other() -> Tensor:
        with through_onednn():
            return a @ b

    with torch.no_grad():
        # In turn, and the best of each, since other programs may share the machine.
        rounds = [(_seconds(plain), _seconds(other)) for _ in range(_ROUNDS)]
        seconds, other_seconds = map(min, zip(*rounds))
        exact = a.double() @ b.double()
        error, other_error = ((run() - exact).abs().max() for run in (plain, other))
    return seconds > CLEARLY * other_seconds and bool(other_error < 4 * error)


def _seconds(run: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
