"""Steps of samplers as CUDA graphs: all kernels of a step start with one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Replay = Callable[[], Sequence[Tensor]]
Capture = Callable[[Callable[..., Sequence[Tensor]], Sequence[Tensor]], Replay]
"""(function, its inputs) -> what computes it again, of what the inputs then hold, into the same results."""
WARM_UP = 3


def capture_on_cuda(function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> Replay:
    """Record the kernels of ``function(*inputs)`` as a CUDA graph."""
    with torch.cuda.device(inputs[0].device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose kernels and allocate workspace, which no graph may contain
            for _ in range(WARM_UP):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):  # other threads load data
            outputs = function(*inputs)

    def replay() -> Sequence[Tensor]:
        graph.replay()
        return outputs

    return replay


class CudaGraphs:
    """Runs functions of tensors as graphs, each captured once and kept until `clear`.

    Give one to `VideoPipeline.graphs`. What cannot be captured is called as it is, after a warning that says why.

    Args:
        capture: Captures a function.
    """

    def __init__(self, capture: Capture = capture_on_cuda) -> None:
        self._capture = capture
        self._captured: dict[Hashable, _Captured | None] = {}

    def clear(self) -> None:
        """Free all graphs, and what they keep in memory."""
        self._captured.clear()

    def __call__(self, key: Hashable, function: Callable[..., tuple[Tensor, ...]], *inputs: Any) -> tuple[Tensor, ...]:
        """The results of ``function(*inputs)``.

        Args:
            key: Functions with equal keys, given inputs of equal shapes, compute the same.
            function: Operations on tensors alone, without random numbers.
            inputs: Tensors, tuples and tables of them, and constants that follow from the key.
        """
        given = _tensors_of(inputs)
        device = given[0].device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        key = (key, autocast, _signature(inputs))
        if key not in self._captured:
            self._captured[key] = self._try(function, inputs)
        captured = self._captured[key]
        if captured is None:
            return function(*inputs)
        for held, one in zip(captured.inputs, given, strict=True):
            held.copy_(one)
        # Copies, as the next replay overwrites the results.
        return tuple(result.clone() for result in captured.replay())

    def _try(self, function: Callable[..., tuple[Tensor, ...]], inputs: tuple[Any, ...]) -> _Captured | None:
        with torch.inference_mode(False), torch.no_grad(), _uncached_casts():
            held = [one.clone() for one in _tensors_of(inputs)]

            def of_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
                remaining = iter(tensors)
                return function(*_map(lambda _: next(remaining), inputs))

            try:
                return _Captured(held, self._capture(of_tensors, held))
            except RuntimeError as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                logger.warning("Sampling goes on without a CUDA graph: %s", reason)
                return None


class _Captured(NamedTuple):
    inputs: list[Tensor]
    replay: Replay


@contextmanager
def _uncached_casts() -> Iterator[None]:
    """Autocast frees the casts that it keeps, to which a graph would go on referring."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def _map(fn: Callable[[Tensor], Any], value: Any) -> Any:
    """Apply `fn` to each tensor of nested tuples and tables."""
    if isinstance(value, Tensor):
        return fn(value)
    if isinstance(value, tuple):
        parts = [_map(fn, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, Mapping):
        return {name: _map(fn, part) for name, part in value.items()}
    return value


def _tensors_of(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(found.append, value)
    return found


def _signature(value: Any) -> Hashable:
    """Shapes, data types and devices of tensors, and what is absent."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.device
    if isinstance(value, Mapping):
        return tuple((name, _signature(part)) for name, part in value.items())
    return tuple(map(_signature, value)) if isinstance(value, tuple) else value is None
