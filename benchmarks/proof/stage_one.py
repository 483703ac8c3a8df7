"""A training step of the autoencoder at the paper's size."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import memory
import torch
from measure import gflop
from torch import Tensor

from proof.section import Proof, bf16_rate
from proof.steps import compile_module, table_row, train
from pvdm_lightning.models.autoencoder import VideoAutoencoder
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


def module_of(proof: Proof, gradient_checkpointing: bool, adversarial: bool = False) -> AutoencoderModule:
    """Stage one as ae.yaml has it, without LPIPS, whose weights a bare machine lacks."""
    network = VideoAutoencoder(**(TINY if proof.tiny else {}), gradient_checkpointing=gradient_checkpointing)
    return AutoencoderModule(network, perceptual_weight=0.0, adversarial_start=0 if adversarial else None)


def batch_of(module: AutoencoderModule, size: int) -> dict[str, Tensor]:
    """Random pixels."""
    return {"clip": torch.randint(0, 256, (size, 3, *module.clip_shape), dtype=torch.uint8)}


def tflop(proof: Proof) -> float:
    """Of forward and backward, one clip."""

    def build() -> Any:
        network = VideoAutoencoder(**(TINY if proof.tiny else {}))
        clip = torch.rand(1, 3, *network.clip_shape)
        return lambda: network(clip).mean().backward()

    return gflop(build) / 1e3


def predicted(proof: Proof, batch: int, gradient_checkpointing: bool, adversarial: bool) -> float:
    """GiB, as benchmarks/memory.py counts them."""
    warnings.filterwarnings("ignore", message=".*data pointer of FakeTensor.*")
    sizes = TINY if proof.tiny else {}
    return memory.peak(partial(memory.stage_one, batch, gradient_checkpointing, adversarial, **sizes), "bf16-mixed")


def compile_step(proof: Proof) -> None:
    """Fill the compiler's cache, so that the section's own time goes into steps."""
    module = module_of(proof, gradient_checkpointing=True)
    compile_module(proof, module)
    train(proof, module, batch_of(module, 2 if proof.tiny else BATCH), budget=0.0)


def run(proof: Proof) -> None:
    """With and without gradient checkpointing, eager and compiled, both phases."""
    rate, work = bf16_rate(proof), tflop(proof)
    for gradient_checkpointing, adversarial, compiled in (
        (True, False, False),
        (True, True, False),
        (True, False, True),
        (False, False, False),
        (False, False, True),
    ):
        batch = 2 if proof.tiny else BATCH if gradient_checkpointing else WITHOUT_CHECKPOINTING
        module = module_of(proof, gradient_checkpointing, adversarial)
        if compiled:
            compile_module(proof, module)
        expected = predicted(proof, batch, gradient_checkpointing, adversarial)
        steps = train(proof, module, batch_of(module, batch), pairs=adversarial)
        what = "checkpointing" if gradient_checkpointing else "all activations kept"
        if adversarial:
            what += ", adversarial phase (mean of both turns)"
        mode = "compiled" if compiled else "eager"
        # A discriminators' turn has the autoencoder's forward pass alone: no share of the rate is claimed for it.
        of_autoencoder = None if adversarial else batch * work
        table_row(proof, what, mode, batch, steps, of_autoencoder, rate, expected)
        del module
        proof.reset_memory()
