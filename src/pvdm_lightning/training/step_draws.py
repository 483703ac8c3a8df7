"""What is drawn at random for a training step: on the host, and from there to the device in one copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.diffusion import draw_conditional
from pvdm_lightning.models.condition import NO_LABEL
from pvdm_lightning.pipeline.known_frames import draw_masks
from pvdm_lightning.random import Generators, rand, randint, randn

MASK_PROBABILITIES = {"first": 4.0, "last": 1.0, "ends": 1.0, "every": 1.0, "frame": 1.0, "all": 0.5}
"""Weights of the kinds of known frames in training: the first ones most, which long videos continue."""
OF_EITHER_CLIP = ("previous", "known", "label", "context")
"""Parts of a condition that are the same for both clips of a pair, or follow from the one that is denoised. Parts of
one's own, such as an action per frame, are those of the clip."""
ALIGNMENT = 64
"""Each tensor of a buffer starts at a multiple of this many bytes: kernels read several numbers at once."""


class KnownMasks(NamedTuple):
    """Where the masks of known frames come from.

    Attributes:
        frames: Frames of a clip, S.
        stored: The masks that a cache of latents has, bool [M S] on the CPU; None draws masks of all kinds.
    """

    frames: int
    stored: Tensor | None = None

    def draw(self, batch: int, generator: Generators) -> tuple[Tensor, Tensor | None]:
        """Masks of the samples, bool [B S], and their numbers among those stored, int64 [B]."""
        if self.stored is None:
            return draw_masks(batch, self.frames, generator, MASK_PROBABILITIES), None
        number = randint(len(self.stored), batch, generator)
        return self.stored[number], number


class StepDraws(NamedTuple):
    """The random numbers of a training step.

    A step draws them before it launches anything. Nothing in a step waits for a GPU, so the host is then a step ahead:
    it draws while the GPU still computes the step before.

    Attributes:
        t: Times, int64 [B].
        noise: eps, float32 [B C L].
        swap: Whether a sample denoises the clip before in place of its clip, bool [B].
        kept: By the part of a condition, which samples keep it, bool [B].
        rows: By the part of a condition, the numbers of the samples that keep it. They stay on the host, which
            chooses with them which clips are encoded.
        label: Classes, int64 [B], `NO_LABEL` where a sample does not keep its own; None where no classes are trained.
        mask: Which frames are known, bool [B S]; None where no known frames are trained.
        mask_number: Which of the masks of a cache these are, int64 [B]; None without one.
    """

    t: Tensor
    noise: Tensor
    swap: Tensor
    kept: Mapping[str, Tensor]
    rows: Mapping[str, list[int]]
    label: Tensor | None = None
    mask: Tensor | None = None
    mask_number: Tensor | None = None

    @classmethod
    def draw(
        cls,
        generator: Generators,
        given: Mapping[str, Tensor],
        probabilities: Mapping[str, float],
        num_train_timesteps: int,
        latent_size: tuple[int, int],
        label: Tensor | None = None,
        known: KnownMasks | None = None,
    ) -> StepDraws:
        """Draw the numbers of a batch, on the CPU.

        Args:
            generator: On the CPU, one or one for each sample.
            given: By the part of a condition, which samples have it, bool [B] on the CPU; `previous` is one of them.
            probabilities: By the part of a condition, the share of these samples that keep it.
            num_train_timesteps: T of the noise schedule.
            latent_size: (C, L).
            label: Classes of the samples, int64 [B] on the CPU, if `given` has them.
            known: Where masks of known frames come from, if `given` has them.
        """
        has_previous = given["previous"]
        kept = {"previous": draw_conditional(has_previous, probabilities["previous"], generator)}
        # Any clip is a first clip: without a condition, either clip of a pair is taken.
        swap = (rand(tuple(has_previous.shape), generator) < 0.5) & has_previous & ~kept["previous"]
        t = randint(num_train_timesteps, len(has_previous), generator)
        noise = randn((len(has_previous), *latent_size), generator, torch.device("cpu"))
        # Further parts come last, in the order given: they leave the numbers above as they are.
        for name, has_part in given.items():
            if name != "previous":
                kept[name] = draw_conditional(has_part, probabilities[name], generator)
        if label is not None:
            label = torch.where(kept.pop("label"), label, NO_LABEL)
        mask = mask_number = None
        of_clip = [name for name in kept if name not in OF_EITHER_CLIP]
        if known is not None:
            mask, mask_number = known.draw(len(has_previous), generator)
            kept["known"] = kept["known"] & mask.any(dim=1)
            if mask_number is not None:
                of_clip.append("known")  # what a cache holds are frames of the clip itself
        for name in of_clip:
            swap = swap & ~kept[name]
        rows = {name: one.nonzero()[:, 0].tolist() for name, one in kept.items()}
        return cls(t, noise, swap, kept, rows, label, mask, mask_number)

    def to(self, device: torch.device) -> StepDraws:
        """Move what the device computes with, in one copy (`copy_together`)."""
        own = {name: getattr(self, name) for name in ("t", "noise", "swap", "label", "mask", "mask_number")}
        own = {name: value for name, value in own.items() if value is not None}
        moved = copy_together({**own, **{f"kept {name}": one for name, one in self.kept.items()}}, device)
        kept = {name: moved[f"kept {name}"] for name in self.kept}
        return self._replace(kept=kept, **{name: moved[name] for name in own})  # type: ignore[arg-type]


def copy_together(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Move tensors of the host to a device in one copy, which nothing waits for; on a CPU they stay as they are.

    They lie in one buffer one after the other, in the order that they are given in, each at a multiple of `ALIGNMENT`
    bytes. Memory for a GPU is pinned; PyTorch keeps it until the copy is done, and for the next step after that.
    """
    if device.type == "cpu":
        return dict(tensors)
    pinned = device.type == "cuda"
    starts, end = {}, 0
    for name, tensor in tensors.items():
        starts[name], end = end, -(-(end + tensor.nbytes) // ALIGNMENT) * ALIGNMENT

    def views(buffer: Tensor) -> dict[str, Tensor]:
        return {
            name: buffer[starts[name] : starts[name] + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            for name, tensor in tensors.items()
        }

    buffer = torch.empty(end, dtype=torch.uint8, pin_memory=pinned)
    for name, view in views(buffer).items():
        view.copy_(tensors[name])
    return views(buffer.to(device, non_blocking=pinned))
