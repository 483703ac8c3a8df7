"""The Triton kernels of group norm: run by Triton's interpreter, and compiled for GPUs that need not be here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")

from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from pvdm_lightning.gpu import group_norm_kernel as kernel
from pvdm_lightning.gpu.group_norm import Norm

KERNELS = ("_forward_kernel", "_backward_kernel", "_norm_kernel")


def test_the_kernels_compute_their_definition():
    tests = Path(__file__).with_name("interpreted_group_norm.py")
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Compiled:
    """A kernel whose launches end with compilation."""

    def __init__(self, function):
        self.function = function
        self.launches = []

    def __getitem__(self, grid):
        return lambda *given, **named: self.launches.append(self.function.warmup(*given, grid=grid, **named))


@pytest.fixture
def compile_for(monkeypatch, tmp_path):
    """Compile kernels when they are launched, for a GPU of a compute capability, which need not be here."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = {name: Compiled(getattr(kernel, name)) for name in KERNELS}

    def compiled(capability):
        there = {
            "get_current_target": lambda: GPUTarget("cuda", capability, 32),
            "get_current_device": lambda: capability,  # Triton keeps what it compiled by device
            "get_current_stream": lambda device: 0,
        }
        monkeypatch.setattr(driver, "_active", SimpleNamespace(**there))
        for name, recorder in kernels.items():
            monkeypatch.setattr(kernel, name, recorder)
        return list(kernels.values())

    return compiled


def launch(sizes, channels, modulate, groups=32):
    """Forward and backward in bfloat16; what is returned is not computed."""
    images = [torch.randn(*size, channels).bfloat16() for size in sizes]
    weight, bias = torch.randn(2, channels)
    both = torch.randn(sizes[0][0], 2 * channels).bfloat16().chunk(2, dim=1) if modulate else (None, None)
    norm = Norm(weight, bias, groups, 1e-5, *both, modulate)
    statistics = kernel.forward(images, norm, images)
    kernel.backward(images, statistics, images, norm, images, True)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("channels", "modulate"), [(768, True), (128, False)])
def test_compiled_for_a_gpu(compile_for, channels, modulate, capability):
    """Images are read and written 16 bytes a thread at once."""
    kernels = compile_for(capability)
    launch([(2, 64), (4, 32)], channels, modulate)
    forward, backward, norm = (recorder.launches[0] for recorder in kernels)
    assert max(compiled.metadata.shared for compiled in (forward, backward, norm)) <= 2**12
    for assembly in (forward.asm["ptx"], backward.asm["ptx"]):
        assert re.search(r"ld\.global\S*\.v4\.b32", assembly) and re.search(r"st\.global\S*\.v4\.b32", assembly)


def test_one_launch_forward_and_two_backward_compiled_once_for_all_batches(compile_for):
    kernels = compile_for(90)
    for batch in (2, 1, 3):
        launch([(batch, 16), (batch, 8), (batch, 7)], 64, True, groups=4)
    for recorder in kernels:
        assert len(recorder.launches) == 3
        assert recorder.launches[0] is recorder.launches[1] is recorder.launches[2]


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("samples", [1, 3, 192])
@pytest.mark.parametrize("positions", [1, 16, 1000, 4096])
@pytest.mark.parametrize("channels", [64, 384, 1280, 2048])
@pytest.mark.parametrize("groups", [4, 32])
def test_blocks(channels, groups, positions, samples, itemsize):
    group, width, together, at_once = kernel.blocks(channels, groups, samples, positions, itemsize)
    assert group * groups == channels and group <= width < 2 * group
    assert all(number & (number - 1) == 0 for number in (width, together, at_once))  # as Triton needs them
    assert together * width * at_once <= kernel.TILE and together < 2 * groups
    assert at_once < 2 * positions
    if width * itemsize <= 32:  # at least what memory gives out, unless there are no more channels
        assert together * width * itemsize >= 32 or together >= groups


def test_a_small_batch_is_divided_among_more_programs():
    one, many = (kernel.blocks(256, 32, samples, 1024, 2) for samples in (3, 192))
    assert one.GROUPS < many.GROUPS
