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
from benchmarks.sections.section import Proof

Build = Callable[[Namespace], original.Runs]
BATCHES = (64, 24, 8)  # the paper's, the default of its command line, and one for small cards
ONE_BY_ONE = ((1,), (16,))  # videos at once
STAGE_ONE = (2,)  # clips, of which it keeps all activations


def run(proof: Proof) -> None:
    """Stage two, then stage one."""
    if original.checkout() is None:
        proof.row(note="REFERENCE names no checkout of the original: not run")
        return
    channels = 32 if proof.tiny else MODELS["L"]
    both = [partial(side, base_channels=channels) for side in (original.denoiser_runs, speed.denoiser_runs)]
    _compare(proof, "PVDM-L, ", "training step", BATCHES, *both)
    for batches in ONE_BY_ONE:
        _compare(proof, "PVDM-L, ", "guidance of weight 0", batches, *both)
    _compare(proof, "PVDM-L, ", "iteration, first clip", BATCHES, *both)
    for ours in ("training step", "training step, checkpointing"):
        _compare(proof, "stage one, ", ours, STAGE_ONE, original.autoencoder_runs, speed.autoencoder_runs)


def _compare(proof: Proof, title: str, step: str, batches: Sequence[int], theirs: Build, ours: Build) -> None:
    """A row for the largest batch that the original holds."""
    for batch in (1,) if proof.tiny else batches:
        settings = Namespace(device=proof.device, precision="bf16-mixed", batch_size=batch, depth=8)
        args = Namespace(**vars(settings), compile=False, plain=False, quick=proof.tiny)
        try:
            published = _measured(proof, theirs(args), step.removesuffix(", checkpointing"))
        except torch.OutOfMemoryError:
            proof.reset_memory()
            continue
        proof.reset_memory()
        torch.backends.cudnn.deterministic = False
        own = _measured(proof, ours(args), step)
        proof.reset_memory()
        columns = ("original s", "original GiB", "ours s", "ours GiB")
        row = {"step": f"{title}{step}", "batch": batch, **dict(zip(columns, (*published, *own)))}
        proof.row(**row, ratio=published[0] / own[0])
        return
    proof.row(note=f"{title}{step}: the original does not fit with a batch of {batches[-1]}")


def _measured(proof: Proof, runs: original.Runs, step: str) -> tuple[float, float | None]:
    """Seconds, and GiB at the peak."""
    proof.reset_memory()
    return proof.seconds(runs[step], at_least=2, budget=1.0), proof.peak()
