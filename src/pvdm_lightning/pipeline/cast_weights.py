"""Weights converted to the precision of autocast once, and not in each call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""What autocast computes in lower precision. Norms stay in float32: it computes them, and their weights, in that."""


class CastWeights:
    """The weights of a network's convolutions and linear layers in a lower precision.

    Autocast converts weights in each call, unless they need gradients, and so those of an EMA. In their place, these
    give the same results.

    Args:
        network: The network; weights that are not float32 stay as they are.
        dtype: Data type of autocast.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self.network, self.dtype = network, dtype
        self._weights: list[tuple[nn.Module, str, nn.Parameter]] = []
        with torch.inference_mode(False), torch.no_grad():
            for layer in (module for module in network.modules() if isinstance(module, LAYERS)):
                for name, weight in layer.named_parameters(recurse=False):
                    if weight.dtype == torch.float32:
                        # Kernels of GPUs for channels-last images would turn the weights of convolutions in each call.
                        turned = weight.dim() == 4 and weight.device.type != "cpu"
                        memory_format = torch.channels_last if turned else torch.preserve_format
                        empty = torch.empty_like(weight, dtype=dtype, memory_format=memory_format)
                        self._weights.append((layer, name, nn.Parameter(empty, False)))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network computes with these weights, brought up to date, until the end of the context."""
        originals = [getattr(layer, name) for layer, name, _ in self._weights]
        try:
            with torch.no_grad():
                for (layer, name, weight), original in zip(self._weights, originals, strict=True):
                    # In the same memory each time, as CUDA graphs refer to it.
                    weight.copy_(original)
                    setattr(layer, name, weight)
            yield
        finally:
            for (layer, name, _), original in zip(self._weights, originals, strict=True):
                setattr(layer, name, original)
