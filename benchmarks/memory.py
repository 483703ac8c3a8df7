"""Peak memory of one training step, counted without computing it, and the batch sizes that follow.

    python benchmarks/memory.py
    REFERENCE=checkout python benchmarks/memory.py

Tensors are fake: they have sizes and no contents. Every one of them is followed from its making to its end, through
forward and backward: weights, gradients, AdamW's state, activations and temporaries. The counts are those of
the fused attention kernels of a CPU; a GPU adds its libraries' work space and the allocator's fragmentation, which is
why a tenth of the card is left free in the table.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import reference
import torch
from live_memory import LiveMemory
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from pvdm_lightning.losses import feature_matching, generator_hinge
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.discriminators import PatchDiscriminator
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.training.ema import EMA

CARDS = (12, 24, 80, 141)
SHAPE = TriplaneShape(16, 32, 32)
Step = tuple[list[nn.Module], Callable[[], Tensor]]


def peak(build: Callable[[], Step], precision: str) -> float:
    """GiB at the peak of forward and backward, the optimizer's two states of every trained weight lying beside."""
    with FakeTensorMode(), LiveMemory() as memory:
        modules, loss = build()
        for module in modules:
            _as_on_cuda(module)
        trained = {weight for module in modules for weight in module.parameters() if weight.requires_grad}
        states = [torch.empty_like(weight) for weight in trained for _ in range(2)]
        bf16 = precision == "bf16-mixed"
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
            value = loss()
        value.backward()
        del states
    return memory.peak / 2**30


def _as_on_cuda(module: nn.Module) -> None:
    """Norms in float32, as autocast has them on CUDA, and not on a CPU."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm | nn.LayerNorm):
            part.register_forward_pre_hook(lambda _, inputs: tuple(x.float() for x in inputs))


def stage_one(batch: int, gradient_checkpointing: bool, adversarial: bool = False, **sizes: Any) -> Step:
    """The autoencoder's turn; `sizes` as of VideoAutoencoder."""
    network = VideoAutoencoder(**sizes, gradient_checkpointing=gradient_checkpointing)
    clip = torch.rand(batch, 3, *network.clip_shape)
    judges = [PatchDiscriminator(2), PatchDiscriminator(3)] if adversarial else []

    def loss() -> Tensor:
        made = network(clip)
        total = (made - clip).abs().mean()
        for judge, real, fake in zip(judges, (clip[:, :, 0], clip), (made[:, :, 0], made)):
            logits, features = judge.requires_grad_(False)(fake)
            with torch.no_grad():
                real_features = judge(real)[1]
            total = total + generator_hinge(logits) + feature_matching(real_features, features)
        return total

    return [network, *judges], loss


def stage_two(batch: int, base_channels: int, gradient_checkpointing: bool, shape: TriplaneShape = SHAPE) -> Step:
    """The denoiser on latents, and its EMA."""
    network = TriplaneUNet(shape, base_channels=base_channels, gradient_checkpointing=gradient_checkpointing)
    z, t = torch.randn(batch, 4, shape.num_tokens), torch.zeros(batch, dtype=torch.long)
    return [network, EMA(network)], lambda: network(z, t, z).square().mean()


def largest(at: dict[int, float], card: float) -> int:
    """The largest batch within nine tenths of a card, all in GiB.

    In small batches the peak is at the end of the backward pass, where weights, gradients and states lie side by side;
    in large ones before it, with all activations. So it grows along a line only from some batch on, and is flat before.
    """
    few, many = sorted(at)[1:]
    slope = (at[many] - at[few]) / (many - few)
    room = 0.9 * card
    return 0 if at[1] > room else max(1, int(few + (room - at[few]) / slope))


def main() -> None:
    """Print the peaks, then the batch sizes for each card."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="PVDM-S alone")
    args = options.parse_args()
    warnings.filterwarnings("ignore", message=".*data pointer of FakeTensor.*")  # copying the average's weights
    say = sys.stdout.write
    cases: dict[str, Callable[[int], Step]] = {"stage two, S": lambda b: stage_two(b, 128, False)}
    if not args.quick:
        cases |= {
            "stage two, S, checkpointing": lambda b: stage_two(b, 128, True),
            "stage two, L": lambda b: stage_two(b, 256, False),
            "stage two, L, checkpointing": lambda b: stage_two(b, 256, True),
            "stage one": lambda b: stage_one(b, False),
            "stage one, checkpointing": lambda b: stage_one(b, True),
            "stage one, checkpointing, adversarial": lambda b: stage_one(b, True, adversarial=True),
        }
    say("GiB at the peak of a training step, 16 x 256 x 256, and the largest batch for a card of so many GB\n\n")
    say(f"{'':40s}{'precision':>12s}{'batch 1':>9s}{'each more':>11s}")
    say("".join(f"{card:>6d}" for card in CARDS) + "\n")
    for name, build in cases.items():
        for precision in ("32-true", "bf16-mixed"):
            batches = (1, 8, 16) if name.startswith("stage one") else (1, 128, 256)  # below those that attention cuts
            at = {batch: peak(partial(build, batch), precision) for batch in batches}
            slope = (at[batches[2]] - at[batches[1]]) / (batches[2] - batches[1])
            # A card's GB are 10^9 bytes, ours are GiB.
            fits = [largest(at, card * 10**9 / 2**30) for card in CARDS]
            say(f"{name:40s}{precision:>12s}{at[1]:9.2f}{slope:11.2f}{''.join(f'{n:>6d}' for n in fits)}\n")
            sys.stdout.flush()
    if reference.CHECKOUT is not None:
        say("\nthe original\n")
        for name, make in {"U-Net S": lambda: reference.unet(128), "U-Net L": lambda: reference.unet(256)}.items():
            say(f"{name:40s}{'32-true':>12s}{peak(partial(original_unet, make), '32-true'):9.2f}\n")
        say(f"{'autoencoder':40s}{'32-true':>12s}{peak(original_autoencoder, '32-true'):9.2f}\n")
        say(f"{'autoencoder':40s}{'bf16-mixed':>12s}{peak(original_autoencoder, 'bf16-mixed'):9.2f}\n")


def original_unet(make: Callable[[], nn.Module]) -> Step:
    """Its U-Net, which recomputes its attention in the backward pass, at batch 1."""
    network, z = make(), torch.randn(1, 4, 2048)
    return [network], lambda: network(z, z, torch.zeros(1, dtype=torch.long)).square().mean()


def original_autoencoder() -> Step:
    """Its autoencoder at batch 1."""
    network, clip = reference.autoencoder(), torch.rand(1, 3, 16, 256, 256)
    assert network is not None
    return [network], lambda: network(clip)[0].square().mean()


if __name__ == "__main__":
    main()
