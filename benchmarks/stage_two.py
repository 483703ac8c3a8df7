"""Stage two: one training step, one denoising step and one guided step of PVDM-S and PVDM-L, on latents.

    python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py --device cuda --precision bf16-mixed --compile --batch-size 16

With REFERENCE the original runs in turn with ours, in the same process with the same allocator; the memory is then that
of both models. benchmarks/memory.py sets them apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import reference
import torch
from measure import add_device_options, cast, gflop, header, in_turn, keep_memory, line, parser
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


def inputs(batch: int, shape: TriplaneShape, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """z_t, t, condition."""
    size = (batch, 4, shape.num_tokens)
    return torch.randn(size, device=device), torch.full((batch,), 500, device=device), torch.randn(size, device=device)


def trainer(network: nn.Module, forward: Callable[[], Tensor], fused: bool | None) -> Callable[[], None]:
    """One step: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=fused)

    def step() -> None:
        forward().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()  # frees the gradients, so that the two large models fit beside each other

    return step


def measure(name: str, base: int, shape: TriplaneShape, rate: float, args: argparse.Namespace) -> None:
    """Print the lines of one model."""
    network = awake(TriplaneUNet(shape, base_channels=base)).to(args.device)
    if args.compile:
        network.compile()
    ours, (z, t, c) = cast(network, args), inputs(args.batch_size, shape, args.device)
    theirs = None if args.quick else reference.unet(base)
    if theirs is not None:
        awake(theirs).to(args.device)

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
    # PyTorch's own choice of loop, as the original leaves it.
    original = None if theirs is None else trainer(theirs, lambda: theirs(z, c, t), fused=None)
    own = trainer(network, lambda: ours(z, t, c), fused=True)
    row("training step", gflop(step), own, original)
    row("iteration on cached latents", gflop(step), own, after_encoding(original, args))


def after_encoding(step: Callable[[], None] | None, args: argparse.Namespace) -> Callable[[], None] | None:
    """The original's iteration starts from pixels: it encodes both clips of a pair, then makes its step."""
    encoder = reference.autoencoder()
    if step is None or encoder is None:
        return None
    encoder.to(args.device)
    clip = torch.rand(args.batch_size, 3, 16, 256, 256, device=args.device) * 2 - 1

    def iteration() -> None:
        with torch.no_grad():
            encoder.extract(clip)
            encoder.extract(clip)
        step()

    return iteration


def main() -> None:
    """Print the lines of each model."""
    options = parser(__doc__)
    add_device_options(options)
    options.add_argument("--compile", action="store_true", help="compile our side; the runs that compile do not count")
    options.add_argument("--batch-size", type=int, default=1)
    options.add_argument("--only", choices=MODELS, help="one of the two models")
    args = options.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    rate = header(args)
    shape = TriplaneShape(4, 8, 8) if args.quick else SHAPE
    for name, base in {"tiny": 32}.items() if args.quick else MODELS.items():
        if args.quick or args.only in (None, name):
            measure(name, base, shape, rate, args)


if __name__ == "__main__":
    main()
