"""Peak memory of a training step, counted without computing it, and the largest batch for cards of several sizes.

    python -m benchmarks memory

Tensors are fake: they have sizes and no contents. Every one of them is followed from its creation to its release,
through forward and backward: weights, gradients, AdamW's state, activations and temporaries. Networks have their
kernels for a GPU, as `pvdm` gives them there; attention is the fused kernel of a CPU. A GPU adds its libraries' work
space and the allocator's fragmentation, which is why a tenth of the card is left free in the table.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.counting import Step, step_gflop, training_peak
from benchmarks.networks import MODELS, SHAPE, adversarial_loss, discriminators
from benchmarks.timing import say
from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.gradient_checkpointing import GradientCheckpointing
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.training.ema import EMA

CARDS = (12, 24, 80, 141)


def stage_one(batch: int, checkpointing: GradientCheckpointing, adversarial: bool = False) -> Step:
    """The autoencoder's turn."""
    network = accelerate(VideoAutoencoder(gradient_checkpointing=checkpointing))
    clip = torch.rand(batch, 3, *network.clip_shape)
    if adversarial:
        judges = discriminators()
        return [network, *judges], lambda: adversarial_loss(network, judges, clip)
    return [network], lambda: (network(clip) - clip).abs().mean()


def stage_two(batch: int, base_channels: int, checkpointing: bool, shape: TriplaneShape = SHAPE) -> Step:
    """The denoiser on latents, and its EMA."""
    network = accelerate(TriplaneUNet(shape, base_channels=base_channels, gradient_checkpointing=checkpointing))
    z, t = torch.randn(batch, 4, shape.num_tokens), torch.zeros(batch, dtype=torch.long)
    return [network, EMA(network)], lambda: network(z, t, Condition(z)).square().mean()


CASES: dict[str, Callable[[int], Step]] = {
    f"stage two, {name}{', checkpointing' if repeats else ''}": partial(
        stage_two, base_channels=n, checkpointing=repeats
    )
    for name, n in MODELS.items()
    for repeats in (False, True)
}
CASES |= {
    "stage one": partial(stage_one, checkpointing=False),
    "stage one, selective checkpointing": partial(stage_one, checkpointing="selective"),
    "stage one, checkpointing": partial(stage_one, checkpointing=True),
    "stage one, checkpointing, adversarial": partial(stage_one, checkpointing=True, adversarial=True),
}


@dataclass(frozen=True)
class Peaks:
    """GiB at the peak of a training step, by batch.

    In small batches the peak is at the end of the backward pass, where weights, gradients and states lie side by side;
    in large ones before it, with all activations. So it is flat up to some batch, and grows along a line from there on.

    Args:
        one: At batch 1.
        each: What each clip more takes, in large batches.
        rest: What the line begins with.
    """

    one: float
    each: float
    rest: float

    @classmethod
    def count(cls, build: Callable[[int], Step], batches: tuple[int, int], precision: str) -> Peaks:
        """From the peaks at batch 1 and at two large ones."""
        one, few, many = (training_peak(partial(build, batch), precision) for batch in (1, *batches))
        each = (many - few) / (batches[1] - batches[0])
        return cls(one, each, few - each * batches[0])

    def at(self, batch: int) -> float:
        """GiB of a batch."""
        return max(self.one, self.rest + self.each * batch)

    def largest_batch(self, card: float) -> int:
        """The largest batch within nine tenths of a card, whose GB are 10^9 bytes; 0 if none fits."""
        room = 0.9 * card * 1e9 / 2**30
        return 0 if self.one > room else max(1, int((room - self.rest) / self.each))


def large_batches(case: str) -> tuple[int, int]:
    """Of a case; below those at which attention is cut into parts."""
    return (8, 16) if case.startswith("stage one") else (128, 256)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to count."""
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    options.add_argument("--json", type=Path, help="write the figures of bf16-mixed, and GFLOP a clip, into this file")


def run(args: argparse.Namespace) -> None:
    """Print the peaks and the batch sizes for each card."""
    warnings.filterwarnings("ignore", message=".*data pointer of FakeTensor.*")  # copying the EMA's weights
    say("GiB at the peak of a training step, 16 x 256 x 256, and the largest batch for a card of so many GB\n\n")
    say(
        f"{'':40s}{'precision':>12s}{'batch 1':>9s}{'each more':>11s}" + "".join(f"{card:>6d}" for card in CARDS) + "\n"
    )
    known: dict[str, dict[str, float]] = {}
    for case in args.cases:
        for precision in ("32-true", "bf16-mixed"):
            peaks = Peaks.count(CASES[case], large_batches(case), precision)
            fits = "".join(f"{peaks.largest_batch(card):>6d}" for card in CARDS)
            say(f"{case:40s}{precision:>12s}{peaks.one:9.2f}{peaks.each:11.2f}{fits}\n")
        known[case] = asdict(peaks)
        if args.json is not None:
            known[case]["gflop"] = step_gflop(partial(CASES[case], 1))
            rounded = {name: {key: float(f"{x:.5g}") for key, x in row.items()} for name, row in known.items()}
            args.json.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
