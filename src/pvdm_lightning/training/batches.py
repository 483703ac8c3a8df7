"""What a training step takes of a batch: the values that stay on the host, and pairs of clips with their conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.condition import Condition, KnownFrames
from pvdm_lightning.pipeline.known_frames import fill_unknown
from pvdm_lightning.training.step_draws import StepDraws

HOST_VALUES = ("has_previous", "index", "label")
"""Read by the host in each step: fetching them from a GPU would wait for the step before."""


def move_but_host_values(batch: Any, move: Callable[[Any], Any]) -> Any:
    """Move a batch to a device by `move`, except for its `HOST_VALUES`."""
    if not isinstance(batch, Mapping):  # numbers of videos to sample
        return move(batch)
    moved = move({name: value for name, value in batch.items() if name not in HOST_VALUES})
    return {**moved, **{name: batch[name] for name in HOST_VALUES if name in batch}}


def choose_pairs(
    batch: Mapping[str, Tensor],
    draws: StepDraws,
    to_latent: Callable[[Tensor], Tensor],
    parts: Sequence[str] = ("previous",),
) -> tuple[Tensor, Condition]:
    """What each sample trains, p(x) or p(x^{l+1} | x^l), jointly (PVDM, section 3.3), and its further conditions.

    Of latents, no size depends on what was drawn. Of pixels, the clips before that are conditions are encoded alone.

    Args:
        batch: clip and previous, of pixels or latents.
        draws: What was drawn for the batch, on its device.
        to_latent: Clips -> latents [B C L].
        parts: Parts of the condition that the network takes, see `Denoiser.conditions`.

    Returns:
        Latents to denoise [B C L], and their conditions; `previous` is zero where a sample trains p(x).
    """
    clip, previous = batch["clip"], batch["previous"]
    target = torch.where(draws.swap.view(-1, *[1] * (clip.dim() - 1)), previous, clip)
    z_0 = to_latent(target)
    if previous.dim() == 3:
        latents = to_latent(previous)
    else:
        latents = _encode_rows(previous, draws.rows["previous"], to_latent, torch.zeros_like(z_0))
    known = None
    if draws.mask is not None:
        if draws.mask_number is not None:
            filled = to_latent(batch["known"][torch.arange(len(clip), device=clip.device), draws.mask_number])
        else:
            filled = _encode_rows(fill_unknown(target, draws.mask), draws.rows["known"], to_latent, z_0 * 0)
        known = KnownFrames(filled.to(z_0.dtype), draws.mask)
    others = {name: part_of_batch(batch, name) for name in parts if name not in (*HOST_VALUES, "previous", "known")}
    condition = Condition(latents.to(z_0.dtype), known, draws.label, others.pop("context", None), others)
    return z_0, condition.keep(draws.kept)


def part_of_batch(batch: Mapping[str, Tensor], name: str) -> Tensor:
    """A further part of the condition, [B ...]; raises `InvalidArgumentError` if the data do not give it."""
    if name not in batch:
        problem = f"gives no {name}, which the denoiser takes"
        raise InvalidArgumentError("DataModule", ", ".join(batch), problem, "Give it in each batch, [B ...].")
    return batch[name]


def _encode_rows(clips: Tensor, rows: list[int], to_latent: Callable[[Tensor], Tensor], others: Tensor) -> Tensor:
    """The latents of some clips, and of the rest the rows of `others`; the host need not wait for a size."""
    if not rows:
        return others
    encoded = dict(zip(rows, to_latent(torch.stack([clips[row] for row in rows])), strict=True))
    return torch.stack([encoded.get(row, other) for row, other in enumerate(others)])
