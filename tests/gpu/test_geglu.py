"""GEGLU as one operator: its gradient here, and its kernels in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.gpu.geglu import FusedGEGLU
from pvdm_lightning.models.autoencoder.space_time_transformer import GEGLU, GatedFeedForward


def test_the_kernels_compute_their_definition():
    pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")
    tests = Path(__file__).with_name("interpreted_geglu.py")
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_values_and_gradients_are_those_of_the_plain_module():
    torch.manual_seed(0)
    layer = accelerate(GatedFeedForward(8))
    assert type(layer.activation) is FusedGEGLU
    x = torch.randn(5, 2 * layer.activation.width, dtype=torch.float64, requires_grad=True)
    assert torch.equal(layer.activation(x), GEGLU(layer.activation.width)(x))
    assert torch.autograd.gradcheck(layer.activation, (x[:, :].detach().requires_grad_(),))


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_gpus_that_are_not_here(capability, monkeypatch, tmp_path):
    pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from pvdm_lightning.gpu import geglu_kernel as kernel

    there = {
        "get_current_target": lambda: GPUTarget("cuda", capability, 32),
        "get_current_device": lambda: capability,  # Triton keeps what it compiled by device
        "get_current_stream": lambda device: 0,
    }
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", SimpleNamespace(**there))
    launched = []

    class Compiled:
        def __init__(self, function):
            self.function = function

        def __getitem__(self, grid):
            return lambda *given, **named: launched.append(self.function.warmup(*given, grid=grid, **named))

    for name in ("_forward_kernel", "_backward_kernel"):
        monkeypatch.setattr(kernel, name, Compiled(getattr(kernel, name)))
    x = torch.randn(4, 64).bfloat16()
    kernel.backward(kernel.forward(x), x)
    assert len(launched) == 2 and all(f".target sm_{capability}" in compiled.asm["ptx"] for compiled in launched)
