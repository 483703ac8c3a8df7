"""torch.compile: what the first step costs, and what every later one gains.

    python benchmarks/compile.py
    python benchmarks/compile.py --device cuda --precision bf16-mixed

Needs a C++ compiler on a CPU. Prints seconds of the denoiser's forward and training step, and of encoding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from measure import add_device_options, cast, in_turn, keep_memory, parser, say
from stage_two import SHAPE, awake, inputs

from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

Piece = Callable[[], tuple[torch.nn.Module, Callable[[torch.nn.Module], Any]]]


def measure(name: str, make: Piece, args: argparse.Namespace) -> None:
    """Print one line."""
    (plain, run), (compiled, _) = make(), make()
    if isinstance(compiled, VideoAutoencoder):
        compiled.compile_parts()
    else:
        compiled.compile()
    started = time.perf_counter()
    run(compiled)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    first = time.perf_counter() - started
    timings = in_turn({"plain": lambda: run(plain), "compiled": lambda: run(compiled)}, args.repeats, args.cpu_time)
    before, after = timings["plain"].median, timings["compiled"].median
    say(f"{name:38s}{first:9.1f}{before:9.3f}{after:10.3f}{before / after:6.2f}x\n")


def main() -> None:
    """Print a line for each piece."""
    options = parser(__doc__)
    add_device_options(options)
    args = options.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    shape = TriplaneShape(4, 8, 8) if args.quick else SHAPE
    z, t, c = inputs(1, shape, args.device)
    sizes: dict[str, Any] = {"resolution": 32, "dim": 64, "depth": 1, "heads": 2} if args.quick else {}

    def denoise() -> tuple[torch.nn.Module, Callable[[torch.nn.Module], Any]]:
        network = accelerate(awake(TriplaneUNet(shape, base_channels=32 if args.quick else 128))).to(args.device)
        return network, lambda network: cast(network, args)(z, t, c)

    def train() -> tuple[torch.nn.Module, Callable[[torch.nn.Module], Any]]:
        return denoise()[0], lambda network: cast(network, args)(z, t, c).square().mean().backward()

    def encode() -> tuple[torch.nn.Module, Callable[[torch.nn.Module], Any]]:
        network = accelerate(VideoAutoencoder(**sizes)).to(args.device)
        clip = torch.rand(1, 3, *network.clip_shape, device=args.device)
        return network, lambda network: cast(network.encode, args)(clip)

    say(f"{'':38s}{'first':>9s}{'plain':>9s}{'compiled':>10s}{'gain':>7s}\n")
    for name, make, gradients in (
        ("PVDM-S denoising step", denoise, False),
        ("PVDM-S forward and backward", train, True),
        ("encode", encode, False),
    ):
        with torch.set_grad_enabled(gradients):
            measure(name, make, args)


if __name__ == "__main__":
    main()
