"""The rotation as one operator: within the network here, and its kernel in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.gpu.rotary import FusedRotaryHeads
from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer


def test_the_kernel_computes_its_definition():
    pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")
    tests = Path(__file__).with_name("interpreted_rotary.py")
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [False, "selective", True])
def test_a_network_with_it_is_the_same(kind):
    volume, results = torch.randn(3, 2, 2, 4, 32), []
    for fused in (False, True):
        torch.manual_seed(0)
        network = SpaceTimeTransformer(32, depth=2, heads=2, head_dim=8, gradient_checkpointing=kind)
        for weight in network.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        if fused:
            accelerate(network)
            assert any(isinstance(module, FusedRotaryHeads) for module in network.modules())
        output = network(volume)
        results.append([output, *torch.autograd.grad(output.square().sum(), list(network.parameters()))])
    for plain, other in zip(*results, strict=True):
        torch.testing.assert_close(other, plain)


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernel_compiles_for_gpus_that_are_not_here(capability, monkeypatch, tmp_path):
    pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from pvdm_lightning.gpu import rotary_kernel as kernel

    there = {
        "get_current_target": lambda: GPUTarget("cuda", capability, 32),
        "get_current_device": lambda: capability,  # Triton keeps what it compiled by device
        "get_current_stream": lambda device: 0,
    }
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", SimpleNamespace(**there))
    function, launched = kernel._rotate_kernel, []

    class Compiled:
        def __getitem__(self, grid):
            return lambda *given, **named: launched.append(function.warmup(*given, grid=grid, **named))

    monkeypatch.setattr(kernel, "_rotate_kernel", Compiled())
    x, table = torch.randn(4, 5, 2, 64).bfloat16(), torch.randn(4, 1, 1, 64)
    kernel.launch(x, table, table, torch.empty_like(x))
    (compiled,) = launched
    assert f".target sm_{capability}" in compiled.asm["ptx"]
