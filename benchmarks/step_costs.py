"""What one step of a denoiser costs, counted without computing it: arithmetic by kind, and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from live_memory import LiveMemory
from measure import flops
from memory import peak
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

Build = Callable[[int], tuple[nn.Module, tuple[Tensor, ...]]]  # batch size -> network, and what it is called with
Make = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Arithmetic:
    """GFLOP of one evaluation of a denoiser.

    Args:
        convolution: Convolutions and linear layers.
        inside: The two products of attention, inside each plane; all of them in a network without planes.
        across: The two products of attention across the three planes.
    """

    convolution: float
    inside: float
    across: float

    @property
    def attention(self) -> float:
        return self.inside + self.across

    @property
    def total(self) -> float:
        return self.convolution + self.attention


def evaluation(build: Build) -> Make:
    """One evaluation at batch 1."""

    def make() -> Callable[[], Tensor]:
        network, arguments = build(1)
        return lambda: network(*arguments)

    return make


def arithmetic(make: Make) -> Arithmetic:
    """GFLOP of one evaluation by kind."""
    with torch.no_grad():
        counts = flops(make)
    # Products with a batch of matrices are attention's alone: a layer's weights are one matrix.
    products = {name: counted.get(torch.ops.aten.bmm, 0) / 1e9 for name, counted in counts.items()}
    across = sum(number for name, number in products.items() if name.endswith(".across"))
    total = sum(counts["Global"].values()) / 1e9
    return Arithmetic(total - products["Global"], products["Global"] - across, across)


def evaluation_memory(make: Make) -> float:
    """GiB at the peak of one evaluation, with weights and inputs."""
    with FakeTensorMode(), LiveMemory() as memory, torch.no_grad():
        run = make()
        run()
    return memory.peak / 2**30


def training_memory(build: Build, batch: int = 1) -> float:
    """GiB at the peak of forward, backward and AdamW, in float32."""

    def step() -> tuple[list[nn.Module], Callable[[], Tensor]]:
        network, arguments = build(batch)
        return [network], lambda: network(*arguments).square().mean()

    return peak(step, "32-true")
