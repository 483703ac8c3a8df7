"""What a sample is conditioned on, as one object from the data to the samplers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

NO_LABEL = -1
PARTS = ("previous", "known", "label", "context")


class KnownFrames(NamedTuple):
    """Frames of a clip that are given.

    Attributes:
        latent: Latents [B C L] of the clip whose unknown frames repeat the nearest known one.
        mask: Which frames are known, bool [B S]; none of a sample are known where its row is False.
    """

    latent: Tensor
    mask: Tensor


class Condition(NamedTuple):
    """What the samples of a batch are conditioned on; each part is optional.

    A part that is None is absent from the whole batch. A single sample lacks a part where its row is that of no
    condition: zeros in `previous` and `context`, no known frame in `known`, `NO_LABEL` in `label`. Networks treat both
    alike.

    Attributes:
        previous: Latents [B C L] of the clips before.
        known: Frames of the clip itself.
        label: Classes, int64 [B].
        context: Vectors to attend to, such as embeddings of a text, [B N E].
    """

    previous: Tensor | None = None
    known: KnownFrames | None = None
    label: Tensor | None = None
    context: Tensor | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the parts that are not None."""
        return tuple(name for name in PARTS if getattr(self, name) is not None)

    def without(self, *names: str) -> Condition:
        """The same without some parts."""
        return Condition(**{name: getattr(self, name) for name in self.given if name not in names})

    def map(self, fn: Callable[[Tensor], Tensor]) -> Condition:
        """Apply `fn` to each tensor."""
        return self._map(lambda name, part: fn(part))

    def to(self, dtype: torch.dtype) -> Condition:
        """Convert what is floating point, such as latents, to `dtype`."""
        return self.map(lambda part: part.to(dtype) if part.is_floating_point() else part)

    def no_condition(self) -> Condition:
        """The same parts, with each row that of no condition."""
        return self._map(lambda name, part: torch.full_like(part, NO_LABEL if name == "label" else 0))

    def keep(self, kept: Mapping[str, Tensor]) -> Condition:
        """Drop parts of single samples.

        Args:
            kept: By the name of a part, bool [B]; where it is False, the row becomes that of no condition.
        """

        def fn(name: str, part: Tensor) -> Tensor:
            if name not in kept:
                return part
            none = part.new_full((), NO_LABEL if name == "label" else 0)
            return torch.where(kept[name].view(-1, *[1] * (part.dim() - 1)), part, none)

        return self._map(fn)

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Join the conditions of several batches; what some of them lack, their samples lack.

        Args:
            conditions: Of batches of one size.
        """
        absent = Condition(*(_first(parts) for parts in zip(*conditions, strict=True))).no_condition()
        parts: dict[str, Any] = {}
        for name in absent.given:
            column = [_first([getattr(condition, name), getattr(absent, name)]) for condition in conditions]
            tensors = [torch.cat(both) for both in zip(*column, strict=True)] if name == "known" else torch.cat(column)
            parts[name] = KnownFrames(*tensors) if name == "known" else tensors
        return Condition(**parts)

    def _map(self, fn: Callable[[str, Tensor], Tensor]) -> Condition:
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.given}
        for name, part in parts.items():
            parts[name] = KnownFrames(*(fn(name, one) for one in part)) if name == "known" else fn(name, part)
        return Condition(**parts)


def _first(parts: Sequence[Any]) -> Any:
    return next((part for part in parts if part is not None), None)
