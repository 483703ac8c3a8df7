"""The kernel of the rotation in Triton's interpreter, against its definition; `test_rotary.py` runs it.

The interpreter has to be chosen before Triton is imported, so this is a process of its own.
"""

import os

import pytest
import torch

from pvdm_lightning.gpu import rotary_kernel as kernel
from pvdm_lightning.models.autoencoder.rotary import Rotation, axial_angles, rotate, temporal_angles

CPU = torch.device("cpu")


def setup_module():
    assert os.environ["TRITON_INTERPRET"] == "1"
    assert type(kernel._rotate_kernel).__name__ == "InterpretedFunction"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [16, 12])
@pytest.mark.parametrize("over", ["time", "space"])
def test_it_is_the_rotation(over, head_dim, dtype):
    torch.manual_seed(0)
    angles = (
        temporal_angles(5, head_dim, CPU)[:, None, None]
        if over == "time"
        else axial_angles(2, 3, head_dim, CPU)[:, None]
    )
    tables = Rotation.of(angles)
    shape = (5, 7, 6, head_dim) if over == "time" else (7, 6, 6, head_dim)
    x = torch.randn(shape).to(dtype)
    parts = (
        (x, torch.full_like(x, torch.nan)),
        (x[:, :, 2:4], torch.full_like(x, torch.nan)[:, :, 1:3]),  # a part of the heads, into another part
        (x.transpose(0, 1).contiguous().transpose(0, 1), torch.full_like(x, torch.nan)),
    )
    for source, out in parts:
        kernel.launch(source, tables.cos, tables.sin, out)
        torch.testing.assert_close(out, rotate(source, tables.cos, tables.sin), atol=1e-6, rtol=2**-7)
