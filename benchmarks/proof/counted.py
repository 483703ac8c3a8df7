"""FLOPs and predicted memory of the paper's training steps, counted ahead: a GPU would wait minutes for them.

PYTHONPATH=benchmarks:src python -m proof.counted    # counts them anew, after a change of the networks
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).with_name("counted.json")
_ANEW = False


def counted(name: str, count: Callable[[], float]) -> float:
    """The figure of that name from the file; counted where the file lacks it."""
    figures: dict[str, float] = json.loads(FILE.read_text()) if FILE.exists() else {}
    if name not in figures:
        figures[name] = float(f"{count():.5g}")
        if _ANEW:
            FILE.write_text(json.dumps(figures, indent=1) + "\n")
    return figures[name]


def _count_anew() -> None:
    from proof import largest, stage_one, stage_two
    from proof.section import Proof

    global _ANEW
    _ANEW = True
    FILE.unlink(missing_ok=True)
    proof = Proof("cpu", False, Path(), time.monotonic(), lambda row: None)
    stage_one.tflop(proof)
    for gradient_checkpointing, adversarial in stage_one.KINDS:
        batch = stage_one.batch_size(proof, gradient_checkpointing)
        stage_one.predicted(proof, batch, gradient_checkpointing, adversarial)
    for base_channels in stage_two.MODELS.values():
        stage_two.tflop(proof, base_channels)
        stage_two.predicted(proof, stage_two.BATCH, base_channels)
    for case, _ in largest.cases(proof):
        for batch in case.sizes:
            case.peak(batch)
    sys.stdout.write(FILE.read_text())


if __name__ == "__main__":
    from proof.counted import _count_anew as main  # this module under its importable name

    main()
