"""Compilation of small parts of a network: what is element by element, between the calls of libraries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)


def compile_parts(parts: Iterable[tuple[nn.Module, str]], **options: Any) -> None:
    """Compile methods of modules in place, so that the keys of state dicts and checkpoints stay.

    Modules of one class share what is compiled. All sizes but the last, channels, may change without compiling anew; a
    size that may become 1, such as a batch, should be one with another size. Training, evaluation without gradients and
    inference mode compile once each.

    Args:
        parts: Modules with the name of the method.
        **options: As of torch.compile.
    """
    compiled: dict[Callable[..., Any], Callable[..., Any]] = {}
    for module, name in parts:
        method = getattr(type(module), name)
        if method not in compiled:
            compiled[method] = _with_fixed_channels(torch.compile(method, **{"dynamic": True, **options}))
        setattr(module, name, MethodType(compiled[method], module))
    if not compiled:
        logger.info("nothing to compile: what would be has kernels of its own, or the network names no parts")


def _with_fixed_channels(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the last size of each argument: as a number it makes faster code, and is not mistaken for an equal size."""

    def call(module: nn.Module, *args: Any) -> Any:
        for argument in args:
            for x in argument if isinstance(argument, tuple | list) else (argument,):
                if isinstance(x, Tensor) and x.dim():
                    torch._dynamo.mark_static(x, x.dim() - 1)
        return compiled(module, *args)

    return call
