"""The original implementation, imported from the checkout that REFERENCE names, to be timed.

Nothing of it is copied. Its U-Net and autoencoder import torch, numpy and einops alone; its losses also import modules
that download weights or write logs, in whose place empty ones are put. It runs as published: with deterministic cuDNN,
its U-Net in float32, on a GPU its autoencoder in float16 with a scaled loss, its discriminators from the first step on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import SHAPE, awaken, denoiser_inputs, training_step

Runs = dict[str, Callable[[], Any]]


def checkout() -> str | None:
    """The folder that REFERENCE names."""
    return os.environ.get("REFERENCE")


def _import(name: str, **replacements: dict[str, Any]) -> ModuleType:
    folder = checkout()
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    for module, contents in replacements.items():
        sys.modules[module] = ModuleType(module)
        vars(sys.modules[module]).update(contents)
    return import_module(name)


def unet(base_channels: int) -> nn.Module:
    """Its U-Net with the published configuration."""
    sizes: dict[str, Any] = {"image_size": 32, "in_channels": 4, "out_channels": 4, "attention_resolutions": [4, 2, 1]}
    sizes |= {"num_res_blocks": 2, "channel_mult": [1, 2, 4, 4], "num_heads": 8, "use_scale_shift_norm": True}
    sizes |= {"resblock_updown": True, "cond_model": True}
    network: nn.Module = _import("models.ddpm.unet").UNetModel(model_channels=base_channels, **sizes)
    return network


def autoencoder() -> Any:
    """Its autoencoder with the published configuration."""
    sizes = {"channels": 384, "resolution": 256, "timesteps": 16, "splits": 1}
    return _import("models.autoencoder.autoencoder_vit").ViTAutoencoder(4, sizes)


def discriminators() -> tuple[nn.Module, nn.Module]:
    """Its discriminators of frames and of clips. Batch norm is the plain one: the synchronised needs processes."""
    losses = _import("losses.perceptual", utils={"make_pairs": None}, requests={})
    frame: nn.Module = losses.NLayerDiscriminator(3, norm_layer=nn.BatchNorm2d)
    clip: nn.Module = losses.NLayerDiscriminator3D(3, norm_layer=nn.BatchNorm3d)
    return frame, clip


def denoiser_runs(args: argparse.Namespace, base_channels: int) -> Runs:
    """Its U-Net: what `speed.denoiser_runs` does, by name."""
    torch.backends.cudnn.deterministic = True
    network = awaken(unet(base_channels)).to(args.device)
    z, t, (c, *_) = denoiser_inputs(args.batch_size, SHAPE, args.device)
    step = cache(lambda: training_step(network, fused=None))  # PyTorch's own choice of loop, as the original leaves it

    @cache
    def encoder() -> tuple[Any, Tensor]:
        return autoencoder().to(args.device), clip_of(args)

    def train() -> None:
        step()(lambda: network(z, c, t).square().mean())

    def iteration(clips: int) -> None:
        """From pixels: it encodes, then takes its step."""
        first_stage, clip = encoder()
        with torch.no_grad(), _float16(args):
            for _ in range(clips):
                first_stage.extract(clip)
        train()

    return {
        "denoising step": torch.no_grad()(lambda: network(z, c, t)),
        # It evaluates both halves whatever the weight.
        "guided step": torch.no_grad()(lambda: 2 * network(z, c, t) - network(z, None, t)),
        "guidance of weight 0": torch.no_grad()(lambda: network(z, c, t) - 0 * network(z, None, t)),
        "training step": train,
        "iteration, first clip": lambda: iteration(1),
        "iteration, pair": lambda: iteration(2),
    }


def autoencoder_runs(args: argparse.Namespace) -> Runs:
    """Its autoencoder: what `speed.autoencoder_runs` does, by name."""
    torch.backends.cudnn.deterministic = True
    network = autoencoder()
    for transformer in (network.encoder, network.decoder):
        transformer.layers = transformer.layers[: args.depth]
    network.to(args.device)
    clip = clip_of(args)
    with torch.no_grad():
        sequence = network.extract(clip)
    step = cache(lambda weight: _autoencoder_step(network, clip, weight, args))
    return {
        "encode": torch.no_grad()(lambda: network.extract(clip)),
        "decode": torch.no_grad()(lambda: network.decode_from_sample(sequence)),
        "training step": lambda: step(0.0)(),
        "training step, adversarial": lambda: step(1.0)(),
    }


def clip_of(args: argparse.Namespace) -> Tensor:
    """A batch of clips of the paper's size, the only one that it takes."""
    return torch.rand(args.batch_size, 3, 16, 256, 256, device=args.device) * 2 - 1


def _on_gpu(args: argparse.Namespace) -> bool:
    return torch.device(args.device).type == "cuda"


def _float16(args: argparse.Namespace) -> torch.autocast:
    return torch.autocast("cuda", torch.float16, enabled=_on_gpu(args))


def _autoencoder_step(network: Any, clip: Tensor, weight: float, args: argparse.Namespace) -> Callable[[], None]:
    """The autoencoder's turn: the discriminators run whatever their weight, their gradients too."""
    judges = [judge.to(args.device) for judge in discriminators()]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    scaler = torch.amp.GradScaler("cuda", enabled=_on_gpu(args))

    def step() -> None:
        with _float16(args):
            made = network(clip)[0].unflatten(0, (len(clip), -1)).transpose(1, 2)
            loss = (made - clip).abs().mean()
            for judge, real, fake in zip(judges, (clip[:, :, 0], clip), (made[:, :, 0], made)):
                real_features = judge(real.contiguous())[1][:-1]
                logits, features = judge(fake.contiguous())
                matching = sum((f - r.detach()).abs().mean() for f, r in zip(features[:-1], real_features))
                loss = loss + weight * (matching - logits.mean())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        for each in (network, *judges):
            each.zero_grad()

    return step
