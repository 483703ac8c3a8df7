"""The Triton kernels of group norm: run by Triton's interpreter, and compiled for GPUs that need not be here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="PyTorch without CUDA comes without Triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from pvdm_lightning.gpu import group_norm_kernel as kernel
from pvdm_lightning.gpu.group_norm import Norm

NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32", int: "i32", float: "fp32"}


def test_the_kernels_compute_their_definition():
    tests = Path(__file__).with_name("interpreted_group_norm.py")
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Recorded:
    """A kernel that takes down its launches."""

    def __init__(self, function):
        self.function = function
        self.launches = []

    def __getitem__(self, grid):
        return lambda *arguments, **constants: self.launches.append((grid, arguments, constants))

    def source(self, launch=0):
        """What a launch compiles: types, constants, and arguments that are known as multiples of 16."""
        _, arguments, constants = self.launches[launch]
        given = dict(zip(self.function.arg_names, arguments)) | constants
        assert given.keys() - {"num_warps"} == {*self.function.arg_names}
        signature, values, aligned = {}, {}, {}
        for parameter in self.function.params:
            value, place = given[parameter.name], (parameter.num,)
            if parameter.is_constexpr:
                signature[parameter.name], values[place] = "constexpr", value
                continue
            tensor = isinstance(value, torch.Tensor)
            signature[parameter.name] = f"*{NAMES[value.dtype]}" if tensor else NAMES[type(value)]
            if tensor or (type(value) is int and value % 16 == 0 and not parameter.do_not_specialize):
                aligned[place] = [["tt.divisibility", 16]]
        return signature, values, aligned

    def compile(self, capability):
        options = {"num_warps": self.launches[0][2].get("num_warps", 4)}
        source = ASTSource(self.function, *self.source())
        return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = {
        name: Recorded(getattr(kernel, name)) for name in ("_forward_kernel", "_backward_kernel", "_norm_kernel")
    }
    for name, recorder in kernels.items():
        monkeypatch.setattr(kernel, name, recorder)
    return kernels.values()


def launch(images, channels, groups, modulate, batch=2):
    """Forward and backward, without a GPU: what is returned is not computed."""
    weight, bias = torch.randn(2, channels)
    both = torch.randn(batch, 2 * channels).bfloat16().chunk(2, dim=1) if modulate else (None, None)
    norm = Norm(weight, bias, groups, 1e-5, *both, modulate)
    out, statistics = kernel.forward(images, norm)
    kernel.backward(out, statistics, images, norm, True, True)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("channels", "modulate"), [(768, True), (128, False)])
def test_compiled_for_a_gpu(recorded, channels, modulate, capability):
    """With the arguments of a real launch; images are read and written 16 bytes a thread at once."""
    launch([torch.randn(2, 64, channels).bfloat16(), torch.randn(4, 32, channels).bfloat16()], channels, 32, modulate)
    forward, backward, norm = (recorder.compile(capability) for recorder in recorded)
    assert max(compiled.metadata.shared for compiled in (forward, backward, norm)) <= 2**12
    for assembly in (forward.asm["ptx"], backward.asm["ptx"]):
        assert re.search(r"ld\.global\S*\.v4\.b32", assembly) and re.search(r"st\.global\S*\.v4\.b32", assembly)


def test_one_launch_forward_and_two_backward(recorded):
    launch([torch.randn(1, positions, 64) for positions in (16, 8, 8)], 64, 4, True, batch=1)
    assert [len(recorder.launches) for recorder in recorded] == [1, 1, 1]


def test_another_batch_compiles_nothing(recorded):
    for batch in (32, 31):
        launch(
            [torch.randn(batch, 64, 256).bfloat16(), torch.randn(2 * batch, 32, 256).bfloat16()], 256, 32, True, batch
        )
    for recorder in recorded:
        assert recorder.source(0) == recorder.source(1)


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
