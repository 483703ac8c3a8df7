"""The largest batches that cards of several sizes hold: tried with the allocator capped at nine tenths of a card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import memory
import torch
from lightning import LightningModule

from proof import stage_one, stage_two
from proof.section import Proof
from proof.steps import Batch, train

MOST_TRIES = 5


@dataclass(frozen=True)
class Case:
    """A line of the table.

    Args:
        name: What is trained.
        build: The module.
        batch_of: A batch of a size for it.
        peak: Predicted GiB of a batch.
        sizes: Batches whose peaks the prediction follows from.
    """

    name: str
    build: Callable[[], LightningModule]
    batch_of: Callable[[Any, int], Batch]
    peak: Callable[[int], float]
    sizes: tuple[int, int, int]


def cases(proof: Proof) -> list[tuple[Case, int]]:
    """Cases and cards, those first that say most."""
    of_stage_one, of_stage_two = ((1, 2, 3), (1, 2, 3)) if proof.tiny else ((1, 8, 16), (1, 128, 256))
    one = Case(
        "stage one, checkpointing",
        lambda: stage_one.module_of(proof, gradient_checkpointing=True),
        stage_one.batch_of,
        lambda batch: stage_one.predicted(proof, batch, gradient_checkpointing=True, adversarial=False),
        of_stage_one,
    )
    plain = Case(
        "stage one",
        lambda: stage_one.module_of(proof, gradient_checkpointing=False),
        stage_one.batch_of,
        lambda batch: stage_one.predicted(proof, batch, gradient_checkpointing=False, adversarial=False),
        of_stage_one,
    )
    large, small = (
        Case(
            f"stage two on cached latents, {name}",
            lambda base=base: stage_two.module_of(proof, base),  # type: ignore[misc]
            stage_two.batch_of,
            lambda batch, base=base: stage_two.predicted(proof, batch, base) or float(batch),  # type: ignore[misc]
            of_stage_two,
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
    for case, card in cases(proof)[: 2 if proof.tiny else None]:
        if proof.on_gpu and card > 1.02 * total:
            continue
        if proof.left() < 8 and not proof.tiny:
            return
        at = {batch: case.peak(batch) for batch in case.sizes}
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
    module = case.build()
    data = case.batch_of(module, batch)
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
