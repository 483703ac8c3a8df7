"""Gradient checkpointing: activations are computed again in the backward pass instead of kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

GradientCheckpointing: TypeAlias = bool | Literal["selective"]
"""False keeps all activations of a block, true its input alone, "selective" also what products and attention give."""

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "product")
"""Names of operators, ours among them, whatever their namespace."""


def checkpointed(block: Callable[..., Tensor], *inputs: Any, kind: GradientCheckpointing) -> Tensor:
    """Run a block, and again in the backward pass as far as `kind` says. The block draws no random numbers."""
    if not kind:
        return block(*inputs)
    options: dict[str, Any] = {}
    if kind == "selective":
        options["context_fn"] = partial(create_selective_checkpoint_contexts, _keep_what_is_slow)
    result: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False, **options)
    return result


def _keep_what_is_slow(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    """Products and attention take the time of a block; what is element by element, most of its memory."""
    name = operator.name().partition("::")[2].partition(".")[0]
    slow = name in _PRODUCTS or "attention" in name
    return CheckpointPolicy.MUST_SAVE if slow else CheckpointPolicy.PREFER_RECOMPUTE
