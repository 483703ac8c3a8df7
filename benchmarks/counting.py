"""FLOPs and memory of a step, counted on fake tensors: these have sizes and no contents, and nothing is computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

Make = Callable[[], Callable[[], Any]]
"""Builds networks and inputs, and returns what runs them."""
Step = tuple[list[nn.Module], Callable[[], Tensor]]
"""What a training step holds in memory, and its forward pass."""


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors created inside that still live, and the most there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._followed: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then follow what it created."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._follow(leaf.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._followed:
            return

        def forget(_: Any) -> None:
            self.live -= size
            self._followed.pop(key, None)

        self._followed[key] = weakref.ref(storage, forget)
        self.live += size
        self.peak = max(self.peak, self.live)


def flops(make: Make) -> dict[str, dict[Any, int]]:
    """FLOP of one run by module ("Global": all) and operation; a convolution counts as it is written."""
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
        run = make()
        with FlopCounterMode(display=False) as counter:
            run()
    return counter.get_flop_counts()


def gflop(make: Make) -> float:
    """GFLOP of one run."""
    return sum(flops(make)["Global"].values()) / 1e9


def step_gflop(build: Callable[[], Step]) -> float:
    """GFLOP of forward and backward of a training step."""

    def make() -> Callable[[], None]:
        _, loss = build()
        return lambda: loss().backward()

    return gflop(make)


def evaluation_peak(make: Make) -> float:
    """GiB at the peak of one run without gradients, networks and inputs included."""
    with FakeTensorMode(), LiveMemory() as memory, torch.no_grad():
        run = make()
        run()
    return memory.peak / 2**30


def training_peak(build: Callable[[], Step], precision: str = "32-true") -> float:
    """GiB at the peak of forward and backward, the optimizer's two states of every trained weight lying beside."""
    with FakeTensorMode(), LiveMemory() as memory:
        modules, loss = build()
        for module in modules:
            _norms_in_float32(module)
        trained = {weight for module in modules for weight in module.parameters() if weight.requires_grad}
        states = [torch.empty_like(weight) for weight in trained for _ in range(2)]
        bf16 = precision == "bf16-mixed"
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
            value = loss()
        value.backward()
        del states
    return memory.peak / 2**30


def _norms_in_float32(module: nn.Module) -> None:
    """As autocast computes PyTorch's own on CUDA, and not on a CPU."""
    for part in module.modules():
        if type(part) in (nn.GroupNorm, nn.LayerNorm):
            part.register_forward_pre_hook(lambda _, inputs: tuple(x.float() for x in inputs))
