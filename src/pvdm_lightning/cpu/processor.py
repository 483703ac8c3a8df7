"""What is known of the processor, from which the kernels are chosen: never from a measurement of time."""

import functools
from pathlib import Path

import torch
from torch import Tensor, nn


@functools.cache
def vendor() -> str:
    """The processor's make as Linux names it, such as AuthenticAMD; empty where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "")


@torch.compiler.assume_constant_result
def uses_onednn() -> bool:
    """Whether float32 products go to oneDNN, rather than to PyTorch's BLAS.

    MKL has no code for the AVX-512 of AMD's processors, and reaches half of oneDNN's rate there. PyTorch hands products
    to oneDNN where it may round them to bfloat16: on processors with AMX oneDNN would do so, on others it does not.
    """
    return (
        vendor() == "AuthenticAMD"
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not torch.cpu._is_amx_tile_supported()
        and hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision")  # PyTorch 2.9 and later
    )


def in_float32_on_cpu(*tensors: Tensor) -> bool:
    """Whether all are real float32 tensors on a CPU that autocast leaves as they are."""
    return (
        all(type(x) in (Tensor, nn.Parameter) for x in tensors)
        and all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
        and not torch.is_autocast_enabled("cpu")
    )
