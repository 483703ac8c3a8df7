"""Stage two: one training step, one denoising step and one guided step of PVDM-S and PVDM-L, on latents.

    python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py

With REFERENCE the original runs in turn with ours, in the same process with the same allocator; the memory is then that
of both models. benchmarks/memory.py sets them apart.
"""

from __future__ import annotations

from collections.abc import Callable

import reference
import torch
from measure import gflop, header, in_turn, keep_memory, line, matmul_rate, parser
from torch import Tensor, nn

from pvdm_lightning.denoiser import TriplaneUNet
from pvdm_lightning.diffusion import guided
from pvdm_lightning.triplane import TriplaneShape

SHAPE = TriplaneShape(16, 32, 32)


def build(base_channels: int, shape: TriplaneShape) -> TriplaneUNet:
    """Ours, none of its layers at zero."""
    return awake(TriplaneUNet(shape, base_channels=base_channels))


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


def main() -> None:
    """Print a line for each model and kind of step."""
    options = parser(__doc__)
    options.add_argument("--batch-size", type=int, default=1)
    args = options.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    rate = matmul_rate(512 if args.quick else 2048, cpu_time=args.cpu_time)
    header(rate)
    shape = TriplaneShape(4, 8, 8) if args.quick else SHAPE
    for name, base in {"tiny": 32}.items() if args.quick else {"PVDM-S": 128, "PVDM-L": 256}.items():
        ours, (z, t, c) = build(base, shape), inputs(args.batch_size, shape)
        theirs = None if args.quick else reference.unet(base)
        if theirs is not None:
            awake(theirs)

        def forward(base: int = base) -> Callable[[], Tensor]:
            network, (z, t, c) = build(base, shape), inputs(args.batch_size, shape)
            return lambda: network(z, t, c)

        def step(base: int = base) -> Callable[[], Tensor]:
            run = forward(base)
            return lambda: run().square().mean().backward()

        work = gflop(forward)
        with torch.no_grad():
            runs = {"ours": lambda: ours(z, t, c)}
            if theirs is not None:
                runs["reference"] = lambda: theirs(z, c, t)
            line(f"{name} denoising step", in_turn(runs, args.repeats, args.cpu_time), work, rate)
            with_guidance = guided(ours, 1.0)
            runs = {"ours": lambda: with_guidance(z, t, c)}
            if theirs is not None:
                runs["reference"] = lambda: 2 * theirs(z, c, t) - theirs(z, None, t)
            line(f"{name} guided step", in_turn(runs, args.repeats, args.cpu_time), 2 * work, rate)
            free = guided(ours, 0.0)
            line(f"{name} guidance of weight 0", in_turn({"ours": lambda: free(z, t, c)}, 1, args.cpu_time), work, rate)
        runs = {"ours": trainer(ours, lambda: ours(z, t, c), fused=True)}
        if theirs is not None:
            # torch's default for AdamW on a CPU, as the original leaves it.
            runs["reference"] = trainer(theirs, lambda: theirs(z, c, t), fused=False)
        line(f"{name} training step", in_turn(runs, args.repeats, args.cpu_time), gflop(step), rate)


if __name__ == "__main__":
    main()
