"""A training step of the autoencoder at the paper's size."""

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
from proof.steps import table_row, train
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.pixels import to_signed_float
from pvdm_lightning.training import AutoencoderModule

TINY: dict[str, Any] = {
    "frames": 4,
    "resolution": 16,
    "dim": 32,
    "depth": 1,
    "heads": 2,
    "head_dim": 16,
    "projector_depth": 1,
    "projector_mlp_dim": 32,
}
BATCH = 8  # of ae.yaml
WITHOUT_CHECKPOINTING = 4
KINDS = ((True, False), (False, False), (True, True))  # gradient checkpointing, adversarial


def module_of(proof: Proof, gradient_checkpointing: bool, adversarial: bool = False) -> AutoencoderModule:
    """Stage one as ae.yaml has it, without LPIPS, whose weights a bare machine lacks."""
    network = VideoAutoencoder(**(TINY if proof.tiny else {}), gradient_checkpointing=gradient_checkpointing)
    return AutoencoderModule(network, perceptual_weight=0.0, adversarial_start=0 if adversarial else None)


def batch_of(module: AutoencoderModule, size: int) -> dict[str, Tensor]:
    """Random pixels."""
    clip = torch.randint(0, 256, (size, 3, *module.clip_shape), dtype=torch.uint8)
    return {"clip": clip, "index": torch.arange(size)}


def tflop(proof: Proof) -> float:
    """Of forward and backward, one clip."""

    def build() -> Any:
        network = VideoAutoencoder(**(TINY if proof.tiny else {}))
        clip = torch.rand(1, 3, *network.clip_shape)
        return lambda: network(clip).mean().backward()

    return gflop(build) / 1e3 if proof.tiny else counted("stage one: TFLOP a clip", lambda: gflop(build) / 1e3)


def predicted(proof: Proof, batch: int, gradient_checkpointing: bool, adversarial: bool) -> float:
    """GiB, as benchmarks/memory.py counts them."""
    warnings.filterwarnings("ignore", message=".*data pointer of FakeTensor.*")
    sizes = TINY if proof.tiny else {}

    def count() -> float:
        return memory.peak(partial(memory.stage_one, batch, gradient_checkpointing, adversarial, **sizes), "bf16-mixed")

    kind = f"{name_of(gradient_checkpointing)}{', adversarial' if adversarial else ''}"
    return count() if proof.tiny else counted(f"stage one, {kind}, batch {batch}: GiB", count)


def run(proof: Proof) -> None:
    """With and without gradient checkpointing, and both phases."""
    rate, work = bf16_rate(proof), tflop(proof)
    for gradient_checkpointing, adversarial in KINDS:
        batch = batch_size(proof, gradient_checkpointing)
        module = module_of(proof, gradient_checkpointing, adversarial)
        expected = predicted(proof, batch, gradient_checkpointing, adversarial)
        steps = train(proof, module, batch_of(module, batch), pairs=adversarial)
        what = name_of(gradient_checkpointing)
        if adversarial:
            what += ", adversarial phase (mean of both turns)"
        # A discriminators' turn has the autoencoder's forward pass alone: no share of the rate is claimed for it.
        of_autoencoder = None if adversarial else batch * work
        table_row(proof, what, "eager", batch, steps, of_autoencoder, rate, expected)
        if gradient_checkpointing and not adversarial:
            busiest(proof, f"{what}, eager", training_step(proof, module, batch), compiled=False)
        del module
        proof.reset_memory()


def batch_size(proof: Proof, gradient_checkpointing: bool) -> int:
    """Clips a step."""
    return 2 if proof.tiny else BATCH if gradient_checkpointing else WITHOUT_CHECKPOINTING


def name_of(gradient_checkpointing: bool) -> str:
    """Of a row."""
    return "checkpointing" if gradient_checkpointing else "all activations kept"


def training_step(proof: Proof, module: AutoencoderModule, batch: int) -> Callable[[], None]:
    """A step on the L1 loss without Lightning, for the profiler."""
    network = module.autoencoder.to(proof.device).train()
    clip = to_signed_float(batch_of(module, batch)["clip"].to(proof.device))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        with proof.autocast():
            loss = (network(clip) - clip).abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
