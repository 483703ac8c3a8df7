"""A training step of the denoiser on latents, as from a cache, at the paper's size."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import memory
import torch
from measure import gflop
from torch import Tensor

from proof.counted import counted
from proof.profile import busiest
from proof.section import Proof, bf16_rate
from proof.stage_one import TINY
from proof.steps import Batch, table_row, train
from pvdm_lightning.diffusion import denoising_loss
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training import LatentDiffusionModule

BATCH = 64  # of ldm.yaml
MODELS = {"PVDM-L": 256, "PVDM-S": 128}  # base channels


def frozen_autoencoder(proof: Proof) -> FrozenAutoencoder:
    """The paper's, with random weights."""
    return FrozenAutoencoder(VideoAutoencoder(**(TINY if proof.tiny else {})))


def module_of(proof: Proof, base_channels: int) -> LatentDiffusionModule:
    """Stage two as ldm.yaml has it."""
    module = LatentDiffusionModule(denoiser_of(proof, base_channels), warmup_steps=10)
    module.attach_autoencoder(frozen_autoencoder(proof))
    return module


def denoiser_of(proof: Proof, base_channels: int) -> TriplaneUNet:
    """The paper's network, or a toy."""
    if proof.tiny:
        return TriplaneUNet(base_channels=32, channel_multipliers=(1, 2), blocks_per_level=1, norm_groups=8)
    return TriplaneUNet(base_channels=base_channels)


def batch_of(module: LatentDiffusionModule, size: int) -> Batch:
    """Latents of pairs, as `CachedLatents` gives them."""
    network = module.load_autoencoder().autoencoder
    shape = (size, network.latent_channels, network.latent_shape.num_tokens)
    clip, previous = torch.rand(2, *shape) * 2 - 1
    return {
        "clip": clip,
        "previous": previous,
        "has_previous": torch.ones(size, dtype=torch.bool),
        "index": torch.arange(size),
    }


def tflop(proof: Proof, base_channels: int) -> float:
    """Of forward and backward, one clip."""

    def build() -> Any:
        network = denoiser_of(proof, base_channels)
        network.latent_shape = frozen_autoencoder(proof).autoencoder.latent_shape
        z = torch.randn(1, 4, network.latent_shape.num_tokens)
        t = torch.zeros(1, dtype=torch.long)
        return lambda: network(z, t, z).square().mean().backward()

    name = f"stage two, {base_channels} channels: TFLOP a clip"
    return gflop(build) / 1e3 if proof.tiny else counted(name, lambda: gflop(build) / 1e3)


def predicted(proof: Proof, batch: int, base_channels: int) -> float | None:
    """GiB, as benchmarks/memory.py counts them."""
    warnings.filterwarnings("ignore", message=".*data pointer of FakeTensor.*")
    if proof.tiny:
        return None
    name = f"stage two, {base_channels} channels, batch {batch}: GiB"
    return counted(name, lambda: memory.peak(partial(memory.stage_two, batch, base_channels, False), "bf16-mixed"))


def run(proof: Proof) -> None:
    """Both networks, a profile of the larger one, then optimizer and EMA alone."""
    rate = bf16_rate(proof)
    batch = batch_size(proof)
    for name, base_channels in MODELS.items():
        module = module_of(proof, base_channels)
        steps = train(proof, module, batch_of(module, batch))
        work, expected = batch * tflop(proof, base_channels), predicted(proof, batch, base_channels)
        table_row(proof, name, "eager", batch, steps, work, rate, expected)
        if name == "PVDM-L":
            busiest(proof, f"{name}, eager", training_step(proof, module, batch), compiled=False)
        del module
        proof.reset_memory()
        optimizer_and_average(proof, name, base_channels)
        proof.reset_memory()


def batch_size(proof: Proof) -> int:
    """Clips a step."""
    return 2 if proof.tiny else BATCH


def optimizer_and_average(proof: Proof, name: str, base_channels: int) -> None:
    """Milliseconds of what follows the backward pass."""
    module = module_of(proof, base_channels).to(proof.device)
    weights = list(module.denoiser.parameters())
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    for kind, options in (("fused", {"fused": True}), ("for each", {"foreach": True})):
        optimizer = torch.optim.AdamW(weights, lr=1e-6, **options)
        proof.row(**{"model": name, "after backward": f"AdamW, {kind}", "ms": 1e3 * proof.seconds(optimizer.step)})
        del optimizer
    average = proof.seconds(lambda: module.ema.update(module.denoiser))
    proof.row(**{"model": name, "after backward": "EMA", "ms": 1e3 * average})


def training_step(proof: Proof, module: LatentDiffusionModule, batch: int) -> Callable[[], None]:
    """A step without Lightning, for the profiler."""
    module.to(proof.device).train()
    data = {name: value.to(proof.device) for name, value in batch_of(module, batch).items()}
    optimizer = torch.optim.AdamW(module.denoiser.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        with proof.autocast():
            loss = denoising_loss_of(module, data)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        module.ema.update(module.denoiser)

    return step


def denoising_loss_of(module: LatentDiffusionModule, batch: Batch) -> Tensor:
    """The loss of a step, with draws on the device."""
    z_0 = batch["clip"]
    t = torch.randint(module.schedule.num_train_timesteps, (len(z_0),), device=z_0.device)
    noise = torch.randn_like(z_0)
    return denoising_loss(module.denoiser, module.schedule, z_0, batch["previous"], t, noise).mean()
