"""What is given of videos that are sampled, and the condition of each clip that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError, check_videos
from pvdm_lightning.models.denoiser import Denoiser


class Given(NamedTuple):
    """What is given of N videos beside options; each part is optional.

    Attributes:
        previous: The clips before, uint8 [N 3 S H W].
        known: First clips with some known frames, uint8 [N 3 S H W]; what the others hold has no effect.
        mask: Which of these are known, bool [N S].
        context: Vectors that the videos are conditioned on, [N M E].
        extra: Further parts of `Condition`, by name, [N ...].
    """

    previous: Tensor | None = None
    known: Tensor | None = None
    mask: Tensor | None = None
    context: Tensor | None = None
    extra: Mapping[str, Tensor] = {}

    @property
    def num_videos(self) -> int:
        """N; 1 where nothing is given."""
        return max((len(part) for part in self._named().values()), default=1)

    def rows(self, numbers: Sequence[int]) -> Given:
        """What is given of the videos of these numbers; what is given of one stands for all."""
        return self._map(lambda part: part if len(part) == 1 else part[torch.tensor(numbers, device=part.device)])

    def for_each(self, num_videos: int | None) -> tuple[Given, int]:
        """What is given of one video, repeated for `num_videos`; without a number, as many videos as are given.

        Raises:
            InvalidArgumentError: Numbers of videos do not agree.
        """
        wanted = self.num_videos if num_videos is None else num_videos
        for name, part in self._named().items():
            if len(part) not in (1, wanted):
                problem = f"is not the number of videos that {name} is given for, {len(part)}"
                raise InvalidArgumentError(
                    "Sampling.num_videos", wanted, problem, f"Give {len(part)}, or leave it out."
                )
        return self._map(lambda part: part.expand(wanted, *part.shape[1:]) if len(part) == 1 else part), wanted

    def _named(self) -> dict[str, Tensor]:
        own = {"previous": self.previous, "known": self.known, "mask": self.mask, "context": self.context}
        return {name: part for name, part in {**own, **self.extra}.items() if part is not None}

    def _map(self, fn: Callable[[Tensor], Tensor]) -> Given:
        named = {name: fn(part) for name, part in self._named().items()}
        own = [named.pop(name, None) for name in ("previous", "known", "mask", "context")]
        return Given(own[0], own[1], own[2], own[3], named)

    def check(self, denoiser: Denoiser, clip_shape: tuple[int, int, int]) -> None:
        """Raise `InvalidArgumentError` unless a denoiser takes what is given, and it has the right sizes.

        Args:
            denoiser: The network.
            clip_shape: (frames, height, width) of a clip.
        """
        for name, clip in (("previous", self.previous), ("known", self.known)):
            if clip is None:
                continue
            check_videos(f"VideoPipeline.{name}", clip, "[B 3 S H W]")
            if tuple(clip.shape[2:]) != clip_shape:
                got, takes = (" x ".join(map(str, shape)) for shape in (clip.shape[2:], clip_shape))
                problem = f"is not the size of a clip, {takes}"
                raise InvalidArgumentError(f"VideoPipeline.{name}", got, problem, "Give clips of that size.")
        if (self.known is None) != (self.mask is None):
            remedy = "Give known with known_mask, such as first:4."
            raise InvalidArgumentError("VideoPipeline.known_mask", None, "known frames have no mask", remedy)
        if self.context is not None:
            check_context(self.context, denoiser)
        for name, there in {"known": self.known, "context": self.context, **self.extra}.items():
            if there is not None and name not in denoiser.conditions:
                problem = f"is not what the model is conditioned on ({', '.join(denoiser.conditions)})"
                raise InvalidArgumentError(
                    f"VideoPipeline.{name}", "given", problem, f"Train one with {_OPTION.get(name, name)}."
                )


_OPTION = {
    "known": "Denoiser.known_frames true",
    "context": "Denoiser.context_channels",
    "label": "Denoiser.num_classes",
}


def check_context(context: Tensor, denoiser: Denoiser) -> None:
    """Raise `InvalidArgumentError` unless a context is [N M E] of the channels that a denoiser takes."""
    channels = denoiser.context_channels
    if channels and (context.dim() != 3 or context.shape[2] != channels or not context.is_floating_point()):
        problem = f"is not [N M {channels}] in floating point"
        raise InvalidArgumentError("VideoPipeline.context", list(context.shape), problem, "Give the vectors it takes.")


def continued(tail: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """A clip that begins with known frames.

    Args:
        tail: The frames that it continues, uint8 [B 3 k H W].
        frames: Frames of a clip, S.

    Returns:
        uint8 [B 3 S H W], and which frames are known, bool [B S].
    """
    count = tail.shape[2]
    rest = tail[:, :, -1:].expand(-1, -1, frames - count, -1, -1)
    return torch.cat([tail, rest], dim=2), (torch.arange(frames) < count).expand(len(tail), -1)
