"""What a sample is conditioned on, as one object from the data to the samplers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NO_LABEL = -1


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

    A part that is None is absent from the whole batch. A single sample lacks a part where its rows say so: zeros in
    floating point, `NO_LABEL` in integers, False in masks. Networks treat both alike.

    Attributes:
        previous: Latents [B C L] of the clips before.
        known: Frames of the clip itself.
        label: Classes, int64 [B].
        context: Vectors to attend to, such as embeddings of a text, [B N E].
        extra: What networks of one's own take, by name; tensors [B ...].
    """

    previous: Tensor | None = None
    known: KnownFrames | None = None
    label: Tensor | None = None
    context: Tensor | None = None
    extra: Mapping[str, Tensor] = {}

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the parts that are there, those in `extra` as well."""
        return tuple(dict.fromkeys(name for name, _ in self._tensors()))

    def without(self, *names: str) -> Condition:
        """The same without some parts."""
        return _joined([(name, part) for name, part in self._tensors() if name not in names])

    def map(self, fn: Callable[[Tensor], Tensor]) -> Condition:
        """Apply `fn` to each tensor."""
        return _joined([(name, fn(part)) for name, part in self._tensors()])

    def to(self, dtype: torch.dtype) -> Condition:
        """Convert what is floating point, such as latents, to `dtype`."""
        return self.map(lambda part: part.to(dtype) if part.is_floating_point() else part)

    def no_condition(self) -> Condition:
        """The same parts, with each row that of no condition."""
        return self.map(lambda part: torch.full_like(part, _none(part)))

    def keep(self, kept: Mapping[str, Tensor]) -> Condition:
        """Drop parts of single samples.

        Args:
            kept: By the name of a part, bool [B]; where it is False, the row becomes that of no condition.
        """

        def fn(name: str, part: Tensor) -> Tensor:
            if name not in kept:
                return part
            rows = kept[name].view(-1, *[1] * (part.dim() - 1))
            return torch.where(rows, part, part.new_full((), _none(part)))

        return _joined([(name, fn(name, part)) for name, part in self._tensors()])

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Join the conditions of several batches; what some of them lack, their samples lack.

        Args:
            conditions: One for each batch; the batches have one size.
        """
        names = list(dict.fromkeys(name for condition in conditions for name in condition.given))
        parts: list[tuple[str, Tensor]] = []
        for name in names:
            columns = [condition._named(name) for condition in conditions]
            absent = [torch.full_like(part, _none(part)) for part in next(column for column in columns if column)]
            both = zip(*(column or absent for column in columns), strict=True)
            parts += [(name, torch.cat(tensors)) for tensors in both]
        return _joined(parts)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name of the part, tensor) of all tensors; known frames are two."""
        for name in ("previous", "known", "label", "context"):
            part = getattr(self, name)
            if part is not None:
                yield from ((name, one) for one in (part if name == "known" else [part]))
        yield from self.extra.items()

    def _named(self, name: str) -> list[Tensor]:
        return [part for own, part in self._tensors() if own == name]


def _none(part: Tensor) -> int:
    """What a sample without this part has in it."""
    return 0 if part.is_floating_point() or part.dtype == torch.bool else NO_LABEL


def _joined(tensors: Sequence[tuple[str, Tensor]]) -> Condition:
    """The inverse of `Condition._tensors`."""
    named = {name: part for name, part in tensors if name != "known"}
    known = [part for name, part in tensors if name == "known"]
    own = {name: named.pop(name, None) for name in ("previous", "label", "context")}
    return Condition(known=KnownFrames(*known) if known else None, extra=named, **own)
