"""Seconds and memory of encoding, decoding, denoising and training steps, beside the original on request.

    python -m benchmarks speed
    python -m benchmarks speed --device cuda --precision bf16-mixed --compile --batch-size 16
    REFERENCE=checkout python -m benchmarks speed --stage two
    REFERENCE=checkout python -m benchmarks speed --stage one --depth 4 --repeats 2

With REFERENCE, a checkout of the original implementation, it runs in turn with ours, each in a process of its own with
the same settings of the allocator. The last rows have the system's allocator for the original: `pvdm` makes these
settings itself, the original makes none.

Stage two is on latents. An iteration of ours is a training step with its draws and the EMA, on latents as a cache gives
them; "from pixels" encodes both clips of a pair first. The original's always encodes, one clip or both of a pair, which
it trains on in 3 of 10 iterations.

Stage one is without LPIPS, which is the same network on both sides. The original runs its discriminators from the first
step on, at weight 0. It keeps all activations (23 GiB a clip): `--depth 4` times both with half of the blocks, and
training steps take turns in new processes, one at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import original
from benchmarks.counting import gflop
from benchmarks.networks import (
    MODELS,
    SHAPE,
    TINY_AUTOENCODER,
    TINY_SHAPE,
    adversarial_loss,
    awaken,
    denoiser_inputs,
    discriminators,
    training_step,
)
from benchmarks.sides import print_header, print_rows
from benchmarks.timing import add_timing_options, apply_timing_options, autocast
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.diffusion import Guidance, NoiseSchedule, bind
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.compilation import compile_parts
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.training.ema import EMA

FROM_PIXELS = "iteration from pixels, pair"
TRAINING = ("training step", "training step, adversarial", "training step, checkpointing")


def add_options(options: argparse.ArgumentParser) -> None:
    """Where, what and how often."""
    add_timing_options(options, repeats=5)
    options.add_argument("--stage", choices=("one", "two"), help="one of the two stages")
    options.add_argument("--model", choices=MODELS, help="one of the two denoisers")
    options.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1; on a GPU the memory is that of the GPU")
    options.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true", help="of our side")
    options.add_argument("--compile", action="store_true", help="compile our side; the runs that compile do not count")
    options.add_argument("--plain", action="store_true", help="our side without the faster kernels for a CPU")
    options.add_argument("--batch-size", type=int, default=1)
    options.add_argument("--depth", type=int, default=8, help="stage one: blocks of the encoder and of the decoder")
    options.add_argument("--no-training", action="store_true", help="stage one: encode and decode alone")


def run(args: argparse.Namespace) -> None:
    """Print a row for each step."""
    apply_timing_options(args)
    print_header(args)
    beside = original.checkout() is not None
    models = ["tiny"] if args.quick else [args.model] if args.model else list(MODELS)
    for name in models if args.stage != "one" else ():
        channels = MODELS.get(name, 32)
        ours, theirs = (partial(side, base_channels=channels) for side in (denoiser_runs, original.denoiser_runs))
        work = _denoiser_work(args, channels)
        comes = ["training step", "iteration, pair"]
        print_rows(f"PVDM-{name} ", ours, theirs if beside else None, work, args, (), (FROM_PIXELS,), comes)
    if args.stage != "two":
        work = _autoencoder_work(args)
        comes = [what for what in ("encode", "decode", "training step") if what in work]
        theirs_too = original.autoencoder_runs if beside else None
        print_rows("", autoencoder_runs, theirs_too, work, args, TRAINING, TRAINING[2:], comes)


def denoiser_runs(args: argparse.Namespace, base_channels: int) -> original.Runs:
    """Ours of stage two, by the names of rows."""
    shape = _shape(args)
    network = _ready(awaken(TriplaneUNet(shape, base_channels=base_channels)), args)
    if args.compile:
        compile_parts(network.parts_to_compile())
    denoise, (z, t, c) = autocast(network, args), denoiser_inputs(args.batch_size, shape, args.device)
    step, average = cache(lambda: training_step(network, fused=True)), cache(lambda: EMA(network))
    schedule = NoiseSchedule().to(args.device)
    guided, free = (bind(denoise, schedule, condition=c, guidance=Guidance({"previous": s})) for s in (2.0, 1.0))

    def iteration() -> None:
        t = torch.randint(schedule.num_train_timesteps, (len(z),)).to(z.device)
        z_t = schedule.add_noise(z, torch.randn(z.shape).to(z.device), t)
        step()(lambda: denoise(z_t, t, c).square().mean())
        average().update(network)

    @cache
    def encoder() -> tuple[Callable[[Tensor], Any], Tensor]:
        first_stage = _ready(VideoAutoencoder(**_sizes(args)), args)
        return autocast(first_stage.encode, args), _clip(args, first_stage)

    def from_pixels() -> None:
        encode, clip = encoder()
        with torch.no_grad():
            for _ in range(2):
                encode(clip)
        iteration()

    return {
        "denoising step": torch.no_grad()(lambda: denoise(z, t, c)),
        "guided step": torch.no_grad()(lambda: guided(z, t)),
        "guidance of weight 0": torch.no_grad()(lambda: free(z, t)),
        "training step": lambda: step()(lambda: denoise(z, t, c).square().mean()),
        "iteration, first clip": iteration,
        "iteration, pair": iteration,
        FROM_PIXELS: from_pixels,
    }


def _ready(network: Any, args: argparse.Namespace) -> Any:
    return (network if args.plain else accelerate(network)).to(args.device)


def _shape(args: argparse.Namespace) -> TriplaneShape:
    return TINY_SHAPE if args.quick else SHAPE


def _denoiser_work(args: argparse.Namespace, base_channels: int) -> dict[str, float]:
    """GFLOP of each row of stage two."""
    shape = _shape(args)

    def forward() -> Callable[[], Tensor]:
        network, inputs = TriplaneUNet(shape, base_channels=base_channels), denoiser_inputs(args.batch_size, shape)
        return lambda: network(*inputs)

    def step() -> Callable[[], None]:
        run = forward()
        return lambda: run().square().mean().backward()

    def encode() -> Callable[[], Any]:
        network = VideoAutoencoder(**_sizes(args))
        clip = _clip(args, network).cpu()
        return lambda: network.encode(clip)

    once, train = gflop(forward), gflop(step)
    work = {"denoising step": once, "guided step": 2 * once, "guidance of weight 0": once}
    work |= dict.fromkeys(("training step", "iteration, first clip", "iteration, pair"), train)
    return work | {FROM_PIXELS: train + 2 * gflop(encode)}


def autoencoder_runs(args: argparse.Namespace) -> original.Runs:
    """Ours of stage one, by the names of rows."""

    @cache
    def own(gradient_checkpointing: bool = False) -> VideoAutoencoder:
        network = _ready(VideoAutoencoder(**_sizes(args), gradient_checkpointing=gradient_checkpointing), args)
        if args.compile:
            compile_parts(network.parts_to_compile())
        return network

    @cache
    def step(kind: str) -> Callable[[], None]:
        network = own(gradient_checkpointing="checkpointing" in kind)

        def reconstruction(clip: Tensor) -> Tensor:
            return (network(clip).float() - clip).abs().mean()

        judges = [judge.to(args.device) for judge in discriminators()]
        adversarial = partial(adversarial_loss, network, judges)
        loss = adversarial if "adversarial" in kind else reconstruction
        take, forward = training_step(network, fused=True), autocast(loss, args)
        return lambda: take(lambda: forward(clip))

    clip = _clip(args, own())
    with torch.no_grad():
        latent = own().encode(clip)
    return {
        "encode": torch.no_grad()(lambda: autocast(own().encode, args)(clip)),
        "decode": torch.no_grad()(lambda: autocast(own().decode, args)(latent)),
        **{kind: (lambda kind=kind: step(kind)()) for kind in TRAINING},  # type: ignore[misc]
    }


def _clip(args: argparse.Namespace, network: VideoAutoencoder) -> Tensor:
    return torch.rand(args.batch_size, 3, *network.clip_shape, device=args.device) * 2 - 1


def _sizes(args: argparse.Namespace) -> dict[str, Any]:
    return TINY_AUTOENCODER if args.quick else {"depth": args.depth}


def _autoencoder_work(args: argparse.Namespace) -> dict[str, float]:
    """GFLOP of each row of stage one, of the autoencoder alone."""

    def piece(run: Callable[[VideoAutoencoder, Tensor], Any]) -> float:
        def build() -> Callable[[], Any]:
            network = VideoAutoencoder(**_sizes(args))
            clip = _clip(args, network).cpu()
            return lambda: run(network, clip)

        return gflop(build)

    encode, whole = piece(lambda network, x: network.encode(x)), piece(lambda network, x: network(x))
    work = {"encode": encode, "decode": whole - encode}
    if not args.no_training:
        work |= dict.fromkeys(TRAINING, piece(lambda network, x: network(x).mean().backward()))
    return work
