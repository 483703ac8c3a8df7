"""What is drawn at random for a training step: on the host, and from there to the device in one copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pvdm_lightning.diffusion import draw_conditional
from pvdm_lightning.random import Generators, rand, randint, randn

ALIGNMENT = 64
"""Each tensor of a buffer starts at a multiple of this many bytes: kernels read several numbers at once."""


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
    """

    t: Tensor
    noise: Tensor
    swap: Tensor
    kept: Mapping[str, Tensor]
    rows: Mapping[str, list[int]]

    @classmethod
    def draw(
        cls,
        generator: Generators,
        given: Mapping[str, Tensor],
        probabilities: Mapping[str, float],
        num_train_timesteps: int,
        latent_size: tuple[int, int],
    ) -> StepDraws:
        """Draw the numbers of a batch, on the CPU.

        Args:
            generator: On the CPU, one or one for each sample.
            given: By the part of a condition, which samples have it, bool [B] on the CPU; `previous` is one of them.
            probabilities: By the part of a condition, the share of these samples that keep it.
            num_train_timesteps: T of the noise schedule.
            latent_size: (C, L).
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
        return cls(t, noise, swap, kept, {name: one.nonzero()[:, 0].tolist() for name, one in kept.items()})

    def to(self, device: torch.device) -> StepDraws:
        """Move what the device computes with, in one copy (`copy_together`)."""
        moved = copy_together({"t": self.t, "noise": self.noise, "swap": self.swap, **self.kept}, device)
        return StepDraws(
            moved["t"], moved["noise"], moved["swap"], {name: moved[name] for name in self.kept}, self.rows
        )


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
