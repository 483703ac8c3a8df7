"""Float32 products through oneDNN."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from pvdm_lightning.cpu.processor import in_float32_on_cpu, uses_onednn


@contextmanager
def through_onednn() -> Iterator[None]:
    """Hand float32 products inside to oneDNN; only where `uses_onednn`."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def takes_onednn(*tensors: Tensor) -> bool:
    """Whether the product of these tensors goes to oneDNN."""
    return in_float32_on_cpu(*tensors) and uses_onednn()


def fastest_library() -> AbstractContextManager[None]:
    """Float32 products inside go to the faster library."""
    return through_onednn() if uses_onednn() else nullcontext()
