"""Beside the original implementation, from a checkout that REFERENCE names: same card, same run, same batches.

Both run the steps of `speed`: the original as published, ours in bf16-mixed.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial

import torch

from benchmarks import original, speed
from benchmarks.networks import MODELS
from benchmarks.sections.section import Part, Proof

BATCHES = (64, 24, 8)  # the paper's, the default of its command line, and one for small cards


def beside(proof: Proof, stage: str, step: str, batches: Sequence[int]) -> None:
    """A row for the largest batch that the original holds."""
    if stage == "stage one":
        theirs, ours = original.autoencoder_runs, speed.autoencoder_runs
    else:
        sides = (original.denoiser_runs, speed.denoiser_runs)
        theirs, ours = (partial(side, base_channels=32 if proof.tiny else MODELS["L"]) for side in sides)
    for batch in (1,) if proof.tiny else batches:
        settings = Namespace(device=proof.device, precision="bf16-mixed", batch_size=batch, depth=8)
        args = Namespace(**vars(settings), compile=False, plain=False, quick=proof.tiny)
        try:
            published = _measured(proof, theirs, args, step.removesuffix(", checkpointing"))
        except torch.OutOfMemoryError:
            proof.reset_memory()
            continue
        proof.reset_memory()
        torch.backends.cudnn.deterministic = False
        own = _measured(proof, ours, args, step)
        proof.reset_memory()
        columns = ("original s", "original GiB", "ours s", "ours GiB")
        row = {"step": f"{stage}, {step}", "batch": batch, **dict(zip(columns, (*published, *own)))}
        proof.row(**row, ratio=published[0] / own[0])
        return
    raise MemoryError(f"the original does not fit with a batch of {batches[-1]}")


def _measured(
    proof: Proof, build: Callable[[Namespace], original.Runs], args: Namespace, step: str
) -> tuple[float, float | None]:
    """Seconds, and GiB at the peak."""
    proof.reset_memory()
    with torch.device(proof.device):  # a GPU draws the weights at once
        run = build(args)[step]
    return proof.seconds(run, at_least=2, budget=1.0), proof.peak()


# Stage, step and batches; for each the seconds of both sides, imports and building included.
STEPS = (
    ("PVDM-L", "training step", BATCHES, 15),
    ("PVDM-L", "denoising step", (1,), 4),
    ("PVDM-L", "guidance of weight 0", (1,), 4),  # as it samples, by two calls
    ("PVDM-L", "guidance of weight 0", (16,), 4),
    ("stage one", "training step, checkpointing", (2,), 8),  # the original keeps all activations
    ("stage one", "training step", (2,), 7),
    ("PVDM-L", "iteration, first clip", BATCHES, 10),
)
ORIGINAL = tuple(
    Part(f"{stage}, {step}, batch {batches[0]}", seconds, partial(beside, stage=stage, step=step, batches=batches))
    for stage, step, batches, seconds in STEPS
)
