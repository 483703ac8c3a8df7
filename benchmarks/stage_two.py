"""Stage two: one training step, one denoising step and one guided step of PVDM-S and PVDM-L, on latents.

    python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py

With REFERENCE the original runs in turn with ours, in the same process with the same allocator; the memory is then that
of both models. benchmarks/memory.py sets them apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import reference
import torch
from measure import gflop, header, in_turn, keep_memory, line, matmul_rate, parser
from torch import Tensor, nn

from pvdm_lightning.denoiser import TriplaneUNet
from pvdm_lightning.diffusion import guided
from pvdm_lightning.triplane import TriplaneShape

SHAPE = TriplaneShape(16, 32, 32)
MODELS = {"S": 128, "L": 256}  # base channels


def awake(network: nn.Module) -> nn.Module:
    """Draw the layers that start at zero."""
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.02)
    return network


def inputs(batch: int, shape: TriplaneShape) -> tuple[Tensor, Tensor, Tensor]:
    """z_t, t, condition."""
    size = (batch, 4, shape.num_tokens)
    return torch.randn(size), torch.full((batch,), 500), torch.randn(size)


def trainer(network: nn.Module, forward: Callable[[], Tensor], fused: bool) -> Callable[[], None]:
    """One step: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=fused)

    def step() -> None:
        forward().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()  # frees the gradients, so that the two large models fit beside each other

    return step


def measure(name: str, base: int, shape: TriplaneShape, rate: float, args: argparse.Namespace) -> None:
    """Print the lines of one model."""
    ours, (z, t, c) = awake(TriplaneUNet(shape, base_channels=base)), inputs(args.batch_size, shape)
    theirs = None if args.quick else reference.unet(base)
    if theirs is not None:
        awake(theirs)

    def forward() -> Callable[[], Tensor]:
        network, (z, t, c) = TriplaneUNet(shape, base_channels=base), inputs(args.batch_size, shape)
        return lambda: network(z, t, c)

    def step() -> Callable[[], None]:
        run = forward()
        return lambda: run().square().mean().backward()

    def row(what: str, work: float, run: Callable[[], Any], original: Callable[[], Any] | None = None) -> None:
        runs = {"ours": run, **({} if theirs is None or original is None else {"reference": original})}
        line(f"PVDM-{name} {what}", in_turn(runs, args.repeats, args.cpu_time), work, rate)

    work = gflop(forward)
    with torch.no_grad():
        row("denoising step", work, lambda: ours(z, t, c), lambda: theirs(z, c, t))
        strong, free = guided(ours, 1.0), guided(ours, 0.0)
        # The original evaluates both halves whatever the weight.
        row("guided step", 2 * work, lambda: strong(z, t, c), lambda: 2 * theirs(z, c, t) - theirs(z, None, t))
        row("guidance of weight 0", work, lambda: free(z, t, c), lambda: theirs(z, c, t) - 0 * theirs(z, None, t))
    # AdamW's default loop on a CPU, as the original leaves it.
    original = None if theirs is None else trainer(theirs, lambda: theirs(z, c, t), fused=False)
    own = trainer(ours, lambda: ours(z, t, c), fused=True)
    row("training step", gflop(step), own, original)
    row("iteration on cached latents", gflop(step), own, after_encoding(original, args.batch_size))


def after_encoding(step: Callable[[], None] | None, batch: int) -> Callable[[], None] | None:
    """The original's iteration starts from pixels: it encodes both clips of a pair, then makes its step."""
    encoder = reference.autoencoder()
    if step is None or encoder is None:
        return None
    clip = torch.rand(batch, 3, 16, 256, 256) * 2 - 1

    def iteration() -> None:
        with torch.no_grad():
            encoder.extract(clip)
            encoder.extract(clip)
        step()

    return iteration


def main() -> None:
    """Print the lines of each model."""
    options = parser(__doc__)
    options.add_argument("--batch-size", type=int, default=1)
    options.add_argument("--only", choices=MODELS, help="one of the two models")
    args = options.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    rate = matmul_rate(512 if args.quick else 2048, cpu_time=args.cpu_time)
    header(rate)
    shape = TriplaneShape(4, 8, 8) if args.quick else SHAPE
    for name, base in {"tiny": 32}.items() if args.quick else MODELS.items():
        if args.quick or args.only in (None, name):
            measure(name, base, shape, rate, args)


if __name__ == "__main__":
    main()
