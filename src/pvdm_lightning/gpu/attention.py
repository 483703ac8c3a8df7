"""Which kernel of PyTorch computes attention on which GPU."""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pvdm_lightning.models.attention import ScaledDotProductAttention

CUDNN_GENERATIONS = (9, 10)
"""Major compute capabilities on which cuDNN's kernel is the fastest: Hopper, and Blackwell in data centers. On others
it is slower than FlashAttention (pytorch PR 130494, transformers PR 48163)."""
CUDNN_HEAD_WIDTH = 128
DEVICE = "cuda"
_FLASH = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]
_CUDNN = [SDPBackend.CUDNN_ATTENTION, *_FLASH[:-1]]


class GpuAttention(ScaledDotProductAttention):
    """As ScaledDotProductAttention, by the fastest kernel of the GPU that takes the inputs."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values [B H N D] -> [B H N D]."""
        if q.device.type != DEVICE:
            return super().forward(q, k, v)
        dtype = torch.get_autocast_dtype(DEVICE) if torch.is_autocast_enabled(DEVICE) else q.dtype
        backends = preferred_backends(_capability(q.device), dtype, q.shape[-1])
        if not backends:
            return super().forward(q, k, v)
        with sdpa_kernel(backends, set_priority=True):
            return super().forward(q, k, v)


def preferred_backends(capability: tuple[int, int], dtype: torch.dtype, head_width: int) -> list[SDPBackend]:
    """Kernels of attention, the fastest first and all others behind it; none where PyTorch's own order serves.

    Args:
        capability: Compute capability of the GPU.
        dtype: Data type of queries, keys and values.
        head_width: D.
    """
    if dtype not in (torch.bfloat16, torch.float16):
        return []  # neither cuDNN nor FlashAttention takes them
    return _CUDNN if capability[0] in CUDNN_GENERATIONS and head_width <= CUDNN_HEAD_WIDTH else _FLASH


@torch.compiler.assume_constant_result
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
