"""Whether Triton's kernels run on a tensor, or the plain PyTorch that defines them."""

import functools
import importlib.util
import logging

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def takes_kernels(x: Tensor) -> bool:
    """Whether the kernels take a tensor: on a GPU that Triton works for, and of less than float64."""
    return x.is_cuda and x.dtype != torch.float64 and _runs_triton(x.device)


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
            "Norms, rotations and GEGLU run in plain PyTorch, which is slower, because Triton does not work here. It "
            "needs a C compiler and Python's headers, such as the packages gcc and python3-dev. It says: %s",
            error,
        )
        return False
    return True
