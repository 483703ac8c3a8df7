"""Whether the largest batches that `memory` predicts run, with the allocator capped at nine tenths of a card."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.sections.section import Part, Proof
from benchmarks.sections.training import CHECKPOINTING, LARGE, PLAIN, SELECTIVE, SMALL, Case, peaks, train

# Cases, GB of cards and seconds, those first that say most.
TRIED = (
    *((CHECKPOINTING, 24, 7), (LARGE, 24, 4), (SMALL, 24, 3), (LARGE, 80, 5), (CHECKPOINTING, 80, 12)),
    *((SELECTIVE, 80, 4), (CHECKPOINTING, 12, 4), (SMALL, 12, 3), (PLAIN, 24, 3), (PLAIN, 80, 4)),
)


def tried(proof: Proof, case: Case, card: int) -> None:
    """A row for a card that this one can stand for: what was predicted, and what a tenth less comes to."""
    total = torch.cuda.get_device_properties(0).total_memory / 1e9 if proof.on_gpu else card
    if card > 1.02 * total:
        return
    predicted = 2 if proof.tiny else peaks(case).largest_batch(card)
    for batch in dict.fromkeys((predicted, round(0.9 * predicted))):
        module = case.module(proof)
        data = case.data(module, batch)
        if proof.on_gpu:
            torch.cuda.set_per_process_memory_fraction(min(1.0, 0.9 * card / total))
        try:
            steps = train(proof, module, data, budget=0)
        except torch.OutOfMemoryError:
            steps = None
        del module
        proof.reset_memory()
        row = {"training step, bf16-mixed": case.name, "card GB": card, "batch": batch, "ran": steps is not None}
        proof.row(**row, **{"clips/s": None if steps is None else batch / steps.seconds})
        if steps is not None:
            break


LARGEST = tuple(
    Part(f"{case.name}, {card} GB", seconds, partial(tried, case=case, card=card)) for case, card, seconds in TRIED
)
