"""Stage one: encode, decode, and one training step of the autoencoder, without and with the discriminators.

    python benchmarks/stage_one.py
    REFERENCE=checkout python benchmarks/stage_one.py --batch-size 1 --repeats 3
    python benchmarks/stage_one.py --device cuda --precision bf16-mixed --compile --batch-size 8

Without LPIPS, which is the same network on both sides. The original runs its discriminators from the first step on, at
weight 0; so does its side here. It keeps all activations (23 GiB a clip): `--depth 4` times both with half the blocks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import reference
import torch
from measure import add_device_options, cast, gflop, header, in_turn, keep_memory, line, parser, say
from torch import Tensor, nn

from pvdm_lightning.adversarial import PatchDiscriminator, feature_matching, generator_hinge
from pvdm_lightning.autoencoder import VideoAutoencoder


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
    rate = header(args)
    sizes: dict[str, Any] = {"resolution": 32, "dim": 64, "depth": 1, "heads": 2} if args.quick else {}
    sizes = {"depth": args.depth, **sizes}

    def own(**options: Any) -> VideoAutoencoder:
        network = VideoAutoencoder(**sizes, **options).to(args.device)
        if args.compile:
            network.compile_parts()
        return network

    ours = own()
    clip = torch.rand(args.batch_size, 3, *ours.clip_shape, device=args.device) * 2 - 1
    theirs: Any = None if args.quick else reference.autoencoder()
    if theirs is not None:
        for transformer in (theirs.encoder, theirs.decoder):
            transformer.layers = transformer.layers[: args.depth]
        theirs.to(args.device)

    def fake(piece: Callable[[VideoAutoencoder, Tensor], Any]) -> float:
        return gflop(lambda: piece_of(piece))

    def piece_of(piece: Callable[[VideoAutoencoder, Tensor], Any]) -> Callable[[], Any]:
        network, x = VideoAutoencoder(**sizes), torch.rand(clip.shape)
        return lambda: piece(network, x)

    def row(what: str, work: float, run: Callable[[], Any], original: Callable[[], Any] | None) -> None:
        runs = {"ours": run, **({} if theirs is None or original is None else {"reference": original})}
        try:
            line(what, in_turn(runs, args.repeats, args.cpu_time), work, rate)
        except torch.OutOfMemoryError:
            say(f"{what:38s} does not fit into the memory of the GPU\n")

    with torch.no_grad():
        encode, decode = cast(ours.encode, args), cast(ours.decode, args)
        latent = encode(clip)
        work = fake(lambda network, x: network.encode(x))
        row("encode", work, lambda: encode(clip), lambda: theirs.extract(clip))
        sequence = latent.to_sequence()
        whole = fake(lambda network, x: network(x))
        row("decode", whole - work, lambda: decode(latent), lambda: theirs.decode_from_sample(sequence))
    if args.no_training:
        return
    work = fake(lambda network, x: network(x).mean().backward())
    judges = reference.discriminators() if theirs is not None else None
    for judge in (judges.frame, judges.clip) if judges is not None else ():
        judge.to(args.device)
    original = None if theirs is None else original_step(theirs, judges, clip, 0.0)
    row("training step", work, reconstruction_step(ours, clip, args), original)
    original = None if theirs is None else original_step(theirs, judges, clip, 1.0)
    row("training step, adversarial", work, adversarial_step(ours, clip, args), original)
    row("training step, checkpointing", work, reconstruction_step(own(checkpointing=True), clip, args), None)


if __name__ == "__main__":
    main()
