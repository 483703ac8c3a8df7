"""The kernels of GEGLU in Triton's interpreter, against PyTorch's; `test_geglu.py` runs it.

The interpreter has to be chosen before Triton is imported, so this is a process of its own.
"""

import os

import pytest
import torch

from pvdm_lightning.gpu import geglu_kernel as kernel
from pvdm_lightning.models.autoencoder.space_time_transformer import GEGLU


def setup_module():
    assert os.environ["TRITON_INTERPRET"] == "1"
    assert type(kernel._forward_kernel).__name__ == "InterpretedFunction"


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize("width", [24, kernel.WIDTH + 8])
def test_values_and_gradients(width, dtype, tolerance):
    torch.manual_seed(0)
    x, grad = (3 * torch.randn(5, 2 * width)).to(dtype), torch.randn(5, width).to(dtype)
    exact = x.double().requires_grad_()
    expected = GEGLU(width)(exact)
    expected.backward(grad.double())
    for ours, theirs in ((kernel.forward(x), expected), (kernel.backward(grad, x), exact.grad)):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), theirs.detach(), rtol=tolerance, atol=tolerance)
