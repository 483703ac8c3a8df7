"""Memory settings of a CPU; with the defaults, memory takes half of a step's time."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def use_large_pages() -> None:
    """Make PyTorch request large pages for large tensors; call it before the first tensor is created."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks for the next step instead of returning them to the system.

    Activations and gradients are freed and made again in each step, and the system clears every page it hands out. Does
    nothing with another C library, or where the user has chosen.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or any(name in os.environ for name in _BY_USER):
        return
    if not mallopt(_MMAP_THRESHOLD, 2**30):
        mallopt(_MMAP_THRESHOLD, 2**25)  # the most that an older glibc takes
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
