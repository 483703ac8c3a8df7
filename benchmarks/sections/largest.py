"""Whether the largest batches that `memory` predicts run, with the allocator capped at nine tenths of a card."""

from __future__ import annotations

import torch

from benchmarks.sections.section import Proof
from benchmarks.sections.training import CHECKPOINTING, LARGE, PLAIN, SMALL, peaks, train

# Cases and GB of cards, those first that say most.
TRIED = (
    *((CHECKPOINTING, 24), (LARGE, 24), (SMALL, 24), (LARGE, 80), (CHECKPOINTING, 80), (CHECKPOINTING, 12)),
    *((SMALL, 12), (PLAIN, 24), (PLAIN, 80)),
)


def run(proof: Proof) -> None:
    """A row for each case and card that this one can stand for: what was predicted, and what a tenth less comes to."""
    total = torch.cuda.get_device_properties(0).total_memory / 1e9 if proof.on_gpu else 0.0
    for case, card in TRIED[: 2 if proof.tiny else None]:
        if proof.on_gpu and card > 1.02 * total:
            continue
        if proof.left() < 8 and not proof.tiny:
            return
        predicted = 2 if proof.tiny else peaks(case).largest_batch(card)
        for batch in dict.fromkeys((predicted, round(0.9 * predicted))):
            module = case.module(proof)
            data = case.data(module, batch)
            if proof.on_gpu:
                torch.cuda.set_per_process_memory_fraction(min(1.0, 0.9 * card / total))
            try:
                train(proof, module, data, count=2)
                ran = True
            except torch.OutOfMemoryError:
                ran = False
            del module
            proof.reset_memory()
            proof.row(**{"training step, bf16-mixed": case.name, "card GB": card, "batch": batch, "ran": ran})
            if ran:
                break
