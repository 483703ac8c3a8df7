"""How the cost of a denoising step grows with frames and with resolution, held against theory.

    python -m benchmarks scaling
    python -m benchmarks scaling --base-channels 256

With L = H'W' + SW' + SH' tokens of the latent planes, theory says O(L) for convolutions and linear layers and O(L^2)
for attention (PVDM, section 3.2). GFLOP and memory are counted on fake tensors: each product, and each tensor from its
creation to its release, in float32, at batch 1. Nothing is computed, so that every size is counted on any machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.counting import Step, evaluation_peak, flops, training_peak
from benchmarks.networks import denoiser_inputs
from benchmarks.timing import say, short
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

PATCH, PAPER = 8, 256  # pixels a side of a patch, and of the paper's clips


def add_options(options: argparse.ArgumentParser) -> None:
    """Sizes."""
    options.add_argument("--base-channels", type=int, default=128, help="width of the denoiser: 128 is S, 256 is L")
    options.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64, 128], help="at 256 x 256 pixels")
    options.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256, 512], help="at the least of --frames")
    options.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs")


def run(args: argparse.Namespace) -> None:
    """Count, and print a line for each clip."""
    wrong = next((side for side in args.sides if side < 32 or side % 8), None)
    for option, value, bad, problem, remedy in (
        ("--base-channels", args.base_channels, args.base_channels < 32 or args.base_channels % 32,
         "is not a multiple of 32", "Give 128 (S) or 256 (L)."),
        ("--frames", min(args.frames), min(args.frames) < 2, "is too short for a clip", "Give 2 or more."),
        ("--sides", wrong, wrong is not None, "is not a multiple of the patch, 8, of at least 32",
         "Give one, such as 64."),
    ):  # fmt: skip
        if bad:
            raise InvalidArgumentError(option, value, problem, remedy)
    frames, sides = sorted(args.frames), sorted(args.sides)
    series = ([(n, PAPER) for n in frames], [(frames[0], side) for side in sides])
    network: dict[str, Any] = {"base_channels": args.base_channels}
    if args.quick:
        series, network = ([(4, 32), (8, 32)], [(4, 32), (4, 64)]), {"base_channels": 32, "channel_multipliers": (1,)}
    say(f"{network['base_channels']} base channels, float32, batch 1: GFLOP of one evaluation, GiB at the peak of an\n")
    say("evaluation and of a training step; then GFLOP over what theory says, where the first line is 1\n\n")
    say(f"{'clip':18s}{'L':>8s}{'conv':>10s}{'across':>10s}{'inside':>10s}{'sampling':>10s}{'training':>10s}")
    say(f"{'conv/L':>11s}{'across/L^2':>11s}{'inside/l^2':>11s}\n")
    for clips in series:
        first: tuple[float, ...] | None = None
        for length, side in clips:
            shape = TriplaneShape.of_clip(length, side, side, PATCH)
            cost = Cost.count(shape, network)
            over = cost.over_theory(shape)
            first = first or over
            numbers = (cost.convolution, cost.across, cost.inside, cost.sampling, cost.training)
            say(f"{f'{length} x {side} x {side}':18s}{shape.num_tokens:8d}")
            say("".join(f"{short(number):>10s}" for number in numbers))
            say("".join(f"{here / there:11.2f}" for here, there in zip(over, first)) + "\n")
        say("\n")
    say("conv: convolutions and linear layers; across: attention over the tokens of all three planes;\n")
    say("inside: attention over those of each plane; l^2: the sum of the squared lengths of the planes\n")


@dataclass(frozen=True)
class Cost:
    """Of the denoiser on a clip, in GFLOP of one evaluation and GiB.

    Args:
        convolution: Convolutions and linear layers.
        inside: The two products of attention, inside each plane.
        across: The two products of attention across the three planes.
        sampling: Memory at the peak of one evaluation.
        training: Memory at the peak of forward, backward and AdamW.
    """

    convolution: float
    inside: float
    across: float
    sampling: float
    training: float

    @classmethod
    def count(cls, shape: TriplaneShape, network: dict[str, Any]) -> Cost:
        """Count a network of these arguments on a clip of this latent shape."""

        def evaluation() -> Callable[[], Any]:
            denoiser, inputs = TriplaneUNet(shape, **network), denoiser_inputs(1, shape)
            return lambda: denoiser(*inputs)

        def step() -> Step:
            denoiser, inputs = TriplaneUNet(shape, **network), denoiser_inputs(1, shape)
            return [denoiser], lambda: denoiser(*inputs).square().mean()

        with torch.no_grad():
            counts = flops(evaluation)
        # Products with a batch of matrices are attention's alone: a layer's weights are one matrix.
        products = {name: counted.get(torch.ops.aten.bmm, 0) / 1e9 for name, counted in counts.items()}
        across = sum(number for name, number in products.items() if name.endswith(".across"))
        convolution = sum(counts["Global"].values()) / 1e9 - products["Global"]
        return cls(convolution, products["Global"] - across, across, evaluation_peak(evaluation), training_peak(step))

    def over_theory(self, shape: TriplaneShape) -> tuple[float, float, float]:
        """Convolutions over L, attention across planes over L^2, inside planes over their squared lengths."""
        squares = sum(length**2 for length in shape.lengths)
        return self.convolution / shape.num_tokens, self.across / shape.num_tokens**2, self.inside / squares
