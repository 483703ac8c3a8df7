"""Stage one: encode, decode, and one training step of the autoencoder, without and with the discriminators.

    python benchmarks/stage_one.py
    REFERENCE=checkout python benchmarks/stage_one.py --batch-size 1 --repeats 3
    python benchmarks/stage_one.py --device cuda --precision bf16-mixed --compile --batch-size 8

Each side runs in a process of its own. Without LPIPS, which is the same network on both sides. The original runs its
discriminators from the first step on, at weight 0; so does its side here. It keeps all activations (23 GiB a clip):
`--depth 4` times both with half the blocks, and training steps take turns in new processes, one at a time. The last
rows set both as they come: `pvdm` sets the allocator itself, the original does not.
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
from pvdm_lightning.losses import feature_matching, generator_hinge
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.discriminators import PatchDiscriminator


def reconstruction_step(network: nn.Module, clip: Tensor, args: argparse.Namespace) -> Callable[[], None]:
    """Forward, L1, backward, AdamW: a step before the adversarial phase."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
    forward = cast(network, args)

    def step() -> None:
        (forward(clip).float() - clip).abs().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def adversarial_step(network: nn.Module, clip: Tensor, args: argparse.Namespace) -> Callable[[], None]:
    """The autoencoder's turn of the adversarial phase."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
    views: list[tuple[nn.Module, Callable[[Tensor], Tensor]]] = [
        (PatchDiscriminator(2).requires_grad_(False).to(args.device), lambda x: x[:, :, 0]),
        (PatchDiscriminator(3).requires_grad_(False).to(args.device), lambda x: x),
    ]

    def losses() -> Tensor:
        made = network(clip)
        loss = (made - clip).abs().mean()
        for discriminator, view in views:
            logits, features = discriminator(view(made))
            with torch.no_grad():
                real = discriminator(view(clip))[1]
            loss = loss + generator_hinge(logits) + feature_matching(real, features)
        return loss

    forward = cast(losses, args)

    def step() -> None:
        forward().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def original_step(network: Any, judges: Any, clip: Tensor, weight: float) -> Callable[[], None]:
    """The original's turn of the autoencoder: the discriminators run whatever their weight, their gradients too."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        made = network(clip)[0].unflatten(0, (len(clip), -1)).transpose(1, 2)
        loss = (made - clip).abs().mean()
        for judge, real, fake in ((judges.frame, clip[:, :, 0], made[:, :, 0]), (judges.clip, clip, made)):
            real_features = judge(real.contiguous())[1][:-1]
            logits, features = judge(fake.contiguous())
            matching = sum((f - r.detach()).abs().mean() for f, r in zip(features[:-1], real_features, strict=True))
            loss = loss + weight * (matching - logits.mean())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        for judge in (judges.frame, judges.clip):
            judge.zero_grad()

    return step


def sizes_of(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of our autoencoder."""
    return {"depth": args.depth, **({"resolution": 32, "dim": 64, "depth": 1, "heads": 2} if args.quick else {})}


def clip_of(args: argparse.Namespace) -> Tensor:
    """A batch of clips."""
    side = 32 if args.quick else 256
    return torch.rand(args.batch_size, 3, 16, side, side, device=args.device) * 2 - 1


def ours(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Our side of each row."""

    @cache
    def own(gradient_checkpointing: bool = False) -> VideoAutoencoder:
        network = VideoAutoencoder(**sizes_of(args), gradient_checkpointing=gradient_checkpointing)
        network = accelerate(network).to(args.device)
        if args.compile:
            network.compile_parts()
        return network

    clip = clip_of(args)
    with torch.no_grad():
        latent = own().encode(clip)
    plain = cache(lambda: reconstruction_step(own(), clip, args))
    adversarial = cache(lambda: adversarial_step(own(), clip, args))
    checkpointing = cache(lambda: reconstruction_step(own(gradient_checkpointing=True), clip, args))
    return {
        "encode": torch.no_grad()(lambda: cast(own().encode, args)(clip)),
        "decode": torch.no_grad()(lambda: cast(own().decode, args)(latent)),
        "training step": lambda: plain()(),
        "training step, adversarial": lambda: adversarial()(),
        "training step, checkpointing": lambda: checkpointing()(),
    }


def original(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """The original's side of each row that it has."""
    network: Any = reference.autoencoder()
    for transformer in (network.encoder, network.decoder):
        transformer.layers = transformer.layers[: args.depth]
    network.to(args.device)
    clip = clip_of(args)
    with torch.no_grad():
        sequence = network.extract(clip)

    @cache
    def judges() -> Any:
        both = reference.discriminators()
        assert both is not None
        for judge in (both.frame, both.clip):
            judge.to(args.device)
        return both

    plain, adversarial = (cache(lambda w=w: original_step(network, judges(), clip, w)) for w in (0.0, 1.0))
    return {
        "encode": torch.no_grad()(lambda: network.extract(clip)),
        "decode": torch.no_grad()(lambda: network.decode_from_sample(sequence)),
        "training step": lambda: plain()(),
        "training step, adversarial": lambda: adversarial()(),
    }


def work_of(args: argparse.Namespace) -> dict[str, float]:
    """GFLOP of each row, of the autoencoder alone."""

    def piece(run: Callable[[VideoAutoencoder, Tensor], Any]) -> float:
        def build() -> Callable[[], Any]:
            network, clip = VideoAutoencoder(**sizes_of(args)), clip_of(args).cpu()
            return lambda: run(network, clip)

        return gflop(build)

    encode, whole = piece(lambda network, x: network.encode(x)), piece(lambda network, x: network(x))
    work = {"encode": encode, "decode": whole - encode}
    if not args.no_training:
        step = piece(lambda network, x: network(x).mean().backward())
        work |= dict.fromkeys(("training step", "training step, adversarial", "training step, checkpointing"), step)
    return work


def main() -> None:
    """Print a line for each piece."""
    options = parser(__doc__)
    add_device_options(options)
    options.add_argument("--compile", action="store_true", help="compile our side; the runs that compile do not count")
    options.add_argument("--batch-size", type=int, default=1)
    options.add_argument("--depth", type=int, default=8, help="blocks of the encoder and of the decoder")
    options.add_argument("--no-training", action="store_true", help="encode and decode alone")
    args = options.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    header(args)
    beside = None if reference.CHECKOUT is None or args.quick else original
    work = work_of(args)
    steps = [what for what in work if "training" in what]
    comes = [what for what in ("encode", "decode", "training step") if what in work]
    print_rows("", ours, beside, work, args, steps, ["training step, checkpointing"], comes)


if __name__ == "__main__":
    main()
