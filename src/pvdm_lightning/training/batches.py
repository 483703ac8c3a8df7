"""What a training step takes of a batch: the values that stay on the host, and pairs of clips with their conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.diffusion import draw_conditional
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.random import Generators, rand

HOST_VALUES = ("has_previous", "index")
"""Read by the host in each step: fetching them from a GPU would wait for the step before."""


def keep_host_values(moved: Any, batch: Any) -> Any:
    """A batch that was moved to a device, with `HOST_VALUES` as they were before."""
    if not isinstance(batch, Mapping):  # numbers of videos to sample
        return moved
    return {**moved, **{name: batch[name] for name in HOST_VALUES if name in batch}}


def draw_pairs(
    batch: dict[str, Tensor],
    conditional_probability: float,
    to_latent: Callable[[Tensor], Tensor],
    generator: Generators,
) -> tuple[Tensor, Condition]:
    """Draw what each sample trains, p(x) or p(x^{l+1} | x^l), jointly (PVDM, section 3.3).

    Args:
        batch: clip and previous, of pixels or latents, and has_previous, bool [B] on the CPU.
        conditional_probability: lambda, the share of pairs that train p(x^{l+1} | x^l).
        to_latent: Clips -> latents [B C L].
        generator: On the CPU, one or one for each sample.

    Returns:
        Latents to denoise [B C L], and their conditions; `previous` is zero where a sample trains p(x).
    """
    clip, has_previous = batch["clip"], batch["has_previous"]
    conditional = draw_conditional(has_previous, conditional_probability, generator)
    # Any clip is a first clip: without a condition, either clip of a pair is taken.
    swap = (rand(tuple(has_previous.shape), generator) < 0.5) & has_previous & ~conditional
    target = torch.where(swap.to(clip.device).view(-1, *[1] * (clip.dim() - 1)), batch["previous"], clip)
    z_0 = to_latent(target)
    previous = torch.zeros_like(z_0)
    if conditional.any():
        chosen = conditional.nonzero()[:, 0].to(clip.device)
        previous[chosen] = to_latent(batch["previous"][chosen])
    return z_0, Condition(previous)
