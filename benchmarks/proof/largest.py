"""The largest batches that cards of several sizes hold: tried with the allocator capped at nine tenths of a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import memory
import torch
from lightning import LightningModule

from proof import stage_one, stage_two
from proof.section import Proof
from proof.steps import train

MOST_TRIES = 5


@dataclass(frozen=True)
class Case:
    """A line of the table.

    Args:
        name: What is trained.
        build: The module of a batch.
        peak: Predicted GiB of a batch.
        step: Batches between two tries, so that a search ends.
    """

    name: str
    build: Callable[[Proof], LightningModule]
    peak: Callable[[int], float]


def _cases(proof: Proof) -> list[tuple[Case, int]]:
    """Cases and cards, those first that say most."""
    one = Case(
        "stage one, checkpointing",
        lambda proof: stage_one.module_of(proof, gradient_checkpointing=True),
        lambda batch: stage_one.predicted(proof, batch, gradient_checkpointing=True, adversarial=False),
    )
    plain = Case(
        "stage one",
        lambda proof: stage_one.module_of(proof, gradient_checkpointing=False),
        lambda batch: stage_one.predicted(proof, batch, gradient_checkpointing=False, adversarial=False),
    )
    large, small = (
        Case(
            f"stage two on cached latents, {name}",
            lambda proof, base=base: stage_two.module_of(proof, base),  # type: ignore[misc]
            lambda batch, base=base: stage_two.predicted(proof, batch, base) or float(batch),  # type: ignore[misc]
        )
        for name, base in stage_two.MODELS.items()
    )
    return [
        (one, 24),
        (large, 24),
        (small, 24),
        (large, 80),
        (one, 80),
        (one, 12),
        (small, 12),
        (plain, 24),
        (plain, 80),
    ]


def run(proof: Proof) -> None:
    """A row for each case and card that this one can stand for."""
    total = torch.cuda.get_device_properties(0).total_memory / 1e9 if proof.on_gpu else 0.0
    for case, card in _cases(proof)[: 2 if proof.tiny else None]:
        if proof.on_gpu and card > 1.02 * total:
            continue
        if proof.left() < 8 and not proof.tiny:
            return
        batches = (1, 8, 16) if case.name.startswith("stage one") else (1, 128, 256)
        at = {batch: case.peak(batch) for batch in ((1, 2, 3) if proof.tiny else batches)}
        expected = 2 if proof.tiny else memory.largest(at, card * 1e9 / 2**30)
        fits, too_large = search(proof, case, card, expected)
        proof.row(
            **{
                "training step, bf16-mixed": case.name,
                "card GB": card,
                "predicted batch": expected,
                "largest that ran": fits,
                "smallest that did not": too_large,
            }
        )


def search(proof: Proof, case: Case, card: int, expected: int) -> tuple[int | None, int | None]:
    """Bisect around what is expected; the largest batch that ran and the smallest that did not, of those tried."""
    fits: int | None = None
    too_large: int | None = None
    batch = expected
    for _ in range(MOST_TRIES):
        if _runs(proof, case, card, batch):
            fits = batch
        else:
            too_large = batch
        if fits is None:
            batch = min(batch - 1, round(0.9 * batch))
        elif too_large is None:
            batch = max(batch + 1, round(1.1 * batch))
        else:
            batch = (fits + too_large) // 2
        if batch < 1 or batch in (fits, too_large) or proof.left() < 4 or proof.tiny:
            break
    return fits, too_large


def _runs(proof: Proof, case: Case, card: int, batch: int) -> bool:
    module = case.build(proof)
    if isinstance(module, stage_one.AutoencoderModule):
        data = stage_one.batch_of(module, batch)
    else:
        data = stage_two.batch_of(module, batch)  # type: ignore[arg-type]
    if proof.on_gpu:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, 0.9 * card * 1e9 / total))
    try:
        train(proof, module, data, budget=0.0)
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        del module
        proof.reset_memory()
