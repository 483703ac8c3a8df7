"""Stage two: one training step, one denoising step and one guided step of PVDM-S and PVDM-L, on latents.

An iteration of ours is a training step with its draws and the EMA, on latents as a cache gives them. The
original's encodes first: one clip, or both of a pair, which it trains on in 3 of 10 iterations (its `cond_prob`).

    python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py
    REFERENCE=checkout python benchmarks/stage_two.py --device cuda --precision bf16-mixed --compile --batch-size 16

With REFERENCE the original runs in turn with ours, each in a process of its own, with the same settings of the
allocator. The last rows set both as they come: `pvdm` makes these settings itself, the original makes none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from typing import Any

import reference
import torch
from measure import add_device_options, cast, gflop, header, keep_memory, parser
from sides import print_rows
from torch import Tensor, nn

from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.diffusion import NoiseSchedule, classifier_free_guidance
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.training.ema import EMA

SHAPE = TriplaneShape(16, 32, 32)
MODELS = {"S": 128, "L": 256}  # base channels
FIRST_CLIP, PAIR = "iteration, first clip", "iteration, pair"


def awake(network: nn.Module) -> nn.Module:
    """Draw the layers that start at zero."""
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.02)
    return network


def inputs(batch: int, shape: TriplaneShape, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """z_t, t, condition."""
    size = (batch, 4, shape.num_tokens)
    return torch.randn(size, device=device), torch.full((batch,), 500, device=device), torch.randn(size, device=device)


def trainer(network: nn.Module, fused: bool | None) -> Callable[[Callable[[], Tensor]], None]:
    """One step: a forward pass that it is given, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=fused)

    def step(forward: Callable[[], Tensor]) -> None:
        forward().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()  # frees the gradients, so that the two large models fit beside each other

    return step


def size_of(args: argparse.Namespace) -> tuple[int, TriplaneShape]:
    """Base channels of the one model of this process, and its planes."""
    return (32, TriplaneShape(4, 8, 8)) if args.quick else (MODELS[args.only], SHAPE)


def ours(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Our side of each row."""
    base, shape = size_of(args)
    network = accelerate(awake(TriplaneUNet(shape, base_channels=base))).to(args.device)
    if args.compile:
        network.compile()
    denoise, (z, t, c) = cast(network, args), inputs(args.batch_size, shape, args.device)
    strong, free = classifier_free_guidance(denoise, 1.0), classifier_free_guidance(denoise, 0.0)
    step, average = cache(lambda: trainer(network, fused=True)), cache(lambda: EMA(network))
    schedule = NoiseSchedule().to(args.device)

    def iteration() -> None:
        step()(lambda: denoise(*noisy(schedule, z), c))
        average().update(network)

    return {
        "denoising step": torch.no_grad()(lambda: denoise(z, t, c)),
        "guided step": torch.no_grad()(lambda: strong(z, t, c)),
        "guidance of weight 0": torch.no_grad()(lambda: free(z, t, c)),
        "training step": lambda: step()(lambda: denoise(z, t, c)),
        FIRST_CLIP: iteration,
        PAIR: iteration,
    }


def noisy(schedule: NoiseSchedule, z_0: Tensor) -> tuple[Tensor, Tensor]:
    """z_t and t, drawn anew."""
    t = torch.randint(schedule.num_train_timesteps, (len(z_0),)).to(z_0.device)
    return schedule.add_noise(z_0, torch.randn(z_0.shape).to(z_0.device), t), t


def original(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """The original's side of each row."""
    base, shape = size_of(args)
    network = reference.unet(base)
    assert network is not None
    awake(network).to(args.device)
    z, t, c = inputs(args.batch_size, shape, args.device)
    # PyTorch's own choice of loop, as the original leaves it.
    step = cache(lambda: trainer(network, fused=None))
    encoder = cache(lambda: encoder_of(args))

    def training_step() -> None:
        step()(lambda: network(z, c, t))

    def iteration(clips: int) -> None:
        """From pixels: it encodes, then makes its step."""
        autoencoder, clip = encoder()
        with torch.no_grad():
            for _ in range(clips):
                autoencoder.extract(clip)
        training_step()

    return {
        "denoising step": torch.no_grad()(lambda: network(z, c, t)),
        # It evaluates both halves whatever the weight.
        "guided step": torch.no_grad()(lambda: 2 * network(z, c, t) - network(z, None, t)),
        "guidance of weight 0": torch.no_grad()(lambda: network(z, c, t) - 0 * network(z, None, t)),
        "training step": training_step,
        FIRST_CLIP: lambda: iteration(1),
        PAIR: lambda: iteration(2),
    }


def encoder_of(args: argparse.Namespace) -> tuple[Any, Tensor]:
    """The original's autoencoder, and a clip."""
    network = reference.autoencoder()
    assert network is not None
    return network.to(args.device), torch.rand(args.batch_size, 3, 16, 256, 256, device=args.device) * 2 - 1


def work_of(args: argparse.Namespace) -> dict[str, float]:
    """GFLOP of each row, ours."""
    base, shape = size_of(args)

    def forward() -> Callable[[], Tensor]:
        network, (z, t, c) = TriplaneUNet(shape, base_channels=base), inputs(args.batch_size, shape)
        return lambda: network(z, t, c)

    def step() -> Callable[[], None]:
        run = forward()
        return lambda: run().square().mean().backward()

    once, training = gflop(forward), gflop(step)
    return {
        "denoising step": once,
        "guided step": 2 * once,
        "guidance of weight 0": once,
        "training step": training,
        FIRST_CLIP: training,
        PAIR: training,
    }


def measure(name: str, args: argparse.Namespace) -> None:
    """Print the lines of one model."""
    beside = None if reference.CHECKOUT is None or args.quick else original
    comes = ("training step", PAIR)
    print_rows(f"PVDM-{name} ", ours, beside, work_of(args), args, as_it_comes=comes)


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
    header(args)
    for name in ["tiny"] if args.quick else [args.only] if args.only else MODELS:
        args.only = name
        measure(name, args)


if __name__ == "__main__":
    main()
