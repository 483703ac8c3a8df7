"""Known frames of a clip: masks over time, and clips whose other frames are filled from the nearest known one.

A mask is bool [S], True where a frame is known. Its kinds, with the number k that they take:

========  ==========================================
none      no frame
first:k   the first k frames
last:k    the last k frames
ends:k    the first k and the last k frames
every:k   every k-th frame, from the first on
frame:k   the frame k, counted from 0
all       every frame
========  ==========================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.random import Generators, rand

KINDS = ("none", "first", "last", "ends", "every", "frame", "all")
MID_GREY = 128
"""In uint8; 0.0 in [-1, 1]."""
_WITHOUT_NUMBER = ("none", "all")
_REMEDY = "Give first:K, last:K, ends:K, every:K, frame:K, none or all."


@dataclass(frozen=True)
class FrameMask:
    """Which frames of a clip are known, as a kind and its number.

    Args:
        kind: One of `KINDS`.
        number: The k of the kind; has no effect on none and all.
    """

    kind: str
    number: int = 0

    @classmethod
    def parse(cls, text: str, argument: str) -> FrameMask:
        """The mask of a text such as ``first:4``.

        Args:
            text: The text.
            argument: What an error calls it.

        Raises:
            InvalidArgumentError: It is not a kind with its number.
        """
        kind, colon, number = str(text).strip().partition(":")
        if kind not in KINDS:
            raise InvalidArgumentError(argument, text, "is not a kind of known frames", _REMEDY)
        if kind in _WITHOUT_NUMBER:
            if colon:
                raise InvalidArgumentError(argument, text, f"{kind} takes no number", f"Give {kind}.")
            return cls(kind)
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise InvalidArgumentError(argument, text, "has no number", f"Give a whole number, such as {kind}:1.")
        if kind != "frame" and int(number) == 0:
            raise InvalidArgumentError(argument, text, "has the number 0", "Give 1 or more; none is no frame.")
        return cls(kind, int(number))

    def __str__(self) -> str:
        return self.kind if self.kind in _WITHOUT_NUMBER else f"{self.kind}:{self.number}"

    def mask(self, frames: int, argument: str = "FrameMask.number") -> Tensor:
        """The mask, bool [S].

        Args:
            frames: Frames of the clip, S.
            argument: What an error calls the known frames.

        Raises:
            InvalidArgumentError: A clip has no such frames.
        """
        most = {"none": self.number, "all": self.number, "frame": frames - 1}.get(self.kind, frames)
        if self.number > most:
            problem = f"is beyond the {frames} frames of a clip"
            raise InvalidArgumentError(argument, self, problem, f"Give {self.kind}:{most} at most.")
        return _masks(torch.tensor([KINDS.index(self.kind)]), torch.tensor([self.number]), frames)[0]


def parse_masks(texts: Sequence[str], frames: int, argument: str) -> Tensor:
    """The masks of several texts, bool [M S].

    Args:
        texts: Such as ``["first:4", "ends:1"]``.
        frames: Frames of a clip, S.
        argument: What an error calls them.

    Raises:
        InvalidArgumentError: One is not known frames of such a clip, or two are the same mask.
    """
    masks = [FrameMask.parse(text, argument).mask(frames, argument) for text in texts]
    for place, mask in enumerate(masks):
        same = next((text for text, other in zip(texts, masks[:place]) if torch.equal(mask, other)), None)
        if same is not None:
            problem = f"are the same frames as {same}"
            raise InvalidArgumentError(argument, texts[place], problem, "Leave one of them out.")
    return torch.stack(masks) if masks else torch.zeros(0, frames, dtype=torch.bool)


def draw_masks(
    batch: int, frames: int, generators: Generators = None, probabilities: Mapping[str, float] | None = None
) -> Tensor:
    """Random masks, bool [B S] on the CPU: a kind, then its number k.

    k is uniform: of first and last over 1 to S - 1, of ends over 1 to (S - 1) / 2, of every over 2 to S - 1, of frame
    over all frames; in clips too short for that it is the least of these, which may be a mask of another kind as well.

    Args:
        batch: Masks, B.
        frames: Frames of a clip, S, at least 1.
        generators: One per sample, so that a sample's mask does not depend on its batch, or one for all; CPU
            generators. Each mask takes two numbers. None uses torch's global one.
        probabilities: Weight of each kind; kinds that are left out do not occur. Default: all the same.

    Raises:
        InvalidArgumentError: A kind is unknown, or the probabilities are none.
    """
    weights = _weights(probabilities)
    which, where = rand((batch, 2), generators).double().unbind(1)
    ends = (weights.cumsum(0) / weights.sum()).contiguous()
    kind = torch.searchsorted(ends, which.contiguous(), right=True)  # a kind of probability 0 has no room
    least = torch.tensor([0, 1, 1, 1, 2, 0, 0])[kind]
    most = torch.tensor([0, frames - 1, frames - 1, (frames - 1) // 2, frames - 1, frames - 1, 0])[kind]
    choices = (most - least + 1).clamp(min=1)
    return _masks(kind, least + (where * choices).long(), frames)


def _weights(probabilities: Mapping[str, float] | None) -> Tensor:
    given = dict.fromkeys(KINDS, 1.0) if probabilities is None else probabilities
    for kind, weight in given.items():
        if kind not in KINDS:
            raise InvalidArgumentError(
                "draw_masks.probabilities", kind, "is not a kind of known frames", f"The kinds are {', '.join(KINDS)}."
            )
        if not 0 <= weight < float("inf"):
            problem = f"the probability of {kind} is not one"
            raise InvalidArgumentError("draw_masks.probabilities", weight, problem, "Give 0 or more.")
    if not sum(given.values()) > 0:
        raise InvalidArgumentError("draw_masks.probabilities", dict(given), "are all 0", "Give one above 0.")
    return torch.tensor([given.get(kind, 0.0) for kind in KINDS], dtype=torch.float64)


def _masks(kind: Tensor, number: Tensor, frames: int) -> Tensor:
    """Masks bool [B S] of kinds, int64 [B], by their place in `KINDS`, and numbers, int64 [B]."""
    frame, k = torch.arange(frames), number[:, None]
    first, last = frame < k, frame >= frames - k
    none = torch.zeros_like(first)
    every = frame % k.clamp(min=1) == 0
    masks = torch.stack([none, first, last, first | last, every, frame == k, ~none])
    return masks[kind, torch.arange(len(kind))]


def fill_unknown(clip: Tensor, mask: Tensor) -> Tensor:
    """Clips whose unknown frames are replaced by the nearest known one in time, the earlier of two equally near.

    A sample of which no frame is known becomes mid-grey: 128 in uint8, 0.0 in floats, which is mid-grey in [-1, 1].

    Args:
        clip: [B 3 S H W] of any dtype.
        mask: bool [B S], True where a frame is known; on any device.

    Returns:
        [B 3 S H W] of the clip's dtype, on its device; known frames are unchanged.
    """
    mask = mask.to(clip.device)
    frame = torch.arange(clip.shape[2], device=clip.device)
    away = frame - frame[:, None]  # [S S], from a frame to another
    order = 2 * away.abs() + (away > 0)  # no two frames are equally near: the earlier one comes first
    nearest = order.masked_fill(~mask[:, None], torch.iinfo(order.dtype).max).argmin(dim=2)  # [B S]
    filled = clip.gather(2, nearest[:, None, :, None, None].expand_as(clip))
    grey = MID_GREY if clip.dtype == torch.uint8 else 0
    return filled.masked_fill_(~mask.any(dim=1)[:, None, None, None, None], grey)
