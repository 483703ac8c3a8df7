"""Beside the original implementation, from a checkout that REFERENCE names: same card, same run, same batches.

The original runs as published: its U-Net in float32 with deterministic cuDNN, its autoencoder in float16 autocast with
a gradient scaler, its discriminators from the first step on. Ours runs the training step of `pvdm fit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reference
import torch
from torch import Tensor, nn

from proof.section import Proof
from proof.stage_one import batch_of as clips_of
from proof.stage_one import module_of as autoencoder_module
from proof.stage_two import BATCH, MODELS, batch_of, module_of
from proof.steps import Steps, train

NAME = "PVDM-L"
BATCHES = (BATCH, 24, 8)  # the paper's, the default of its command line, and one for small cards
ONE_DDIM_STEP = (1, 16)  # videos at once
STAGE_ONE = 2  # clips, of which it keeps all activations


def run(proof: Proof) -> None:
    """Stage two, then stage one."""
    if reference.CHECKOUT is None and not proof.tiny:
        proof.row(note="REFERENCE names no checkout of the original: not run")
        return
    _stage_two(proof)
    proof.reset_memory()
    _denoising(proof)
    proof.reset_memory()
    _iteration(proof)
    proof.reset_memory()
    _stage_one(proof)


def _row(proof: Proof, what: str, batch: int, theirs: Steps | None, ours: Steps, mode: str) -> None:
    proof.row(
        **{
            "step": what,
            "batch": batch,
            "original s": theirs.seconds if theirs else None,
            "original GiB": theirs.peak if theirs else None,
            "ours": mode,
            "ours s": ours.seconds,
            "ours GiB": ours.peak,
            "ratio": theirs.seconds / ours.seconds if theirs and not proof.tiny else None,
        }
    )


def _published(proof: Proof, run: Callable[[], Any]) -> Steps:
    """Seconds of the original's step with its own settings of the libraries."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    proof.reset_memory()
    try:
        seconds = proof.seconds(run, at_least=2, budget=1.5)
    finally:
        torch.backends.cudnn.deterministic = before
    return Steps(0.0, seconds, proof.peak(), 0)


def _unet(proof: Proof) -> tuple[nn.Module, Callable[[int], tuple[Tensor, Tensor]]]:
    """Its network, and its inputs; a toy where the section is only tried."""
    network = _Toy() if proof.tiny else reference.unet(MODELS[NAME])
    length = 8 if proof.tiny else 2048

    def inputs(batch: int) -> tuple[Tensor, Tensor]:
        return torch.randn(batch, 4, length, device=proof.device), torch.full((batch,), 500, device=proof.device)

    return network.to(proof.device), inputs


class _Toy(nn.Module):
    """Called as the original's networks are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(4, 4, 1)

    def forward(self, z: Tensor, condition: Tensor | None, t: Tensor) -> Tensor:
        return self.layer(z)


def _training_step(network: nn.Module, z: Tensor, t: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        network.zero_grad()
        (network(z, z, t) - z).square().mean().backward()
        optimizer.step()

    return step


def _largest_that_fits(proof: Proof, make: Callable[[int], Callable[[], Any]]) -> tuple[int, Steps] | None:
    for batch in (2,) if proof.tiny else BATCHES:
        try:
            return batch, _published(proof, make(batch))
        except torch.OutOfMemoryError:
            proof.reset_memory()
    return None


def _ours(proof: Proof, batch: int) -> Steps:
    module = module_of(proof, MODELS[NAME])
    steps = train(proof, module, batch_of(module, batch), budget=2.0)
    del module
    proof.reset_memory()
    return steps


def _stage_two(proof: Proof) -> None:
    """A step on latents."""

    def measure() -> tuple[int, Steps] | None:
        network, inputs = _unet(proof)
        return _largest_that_fits(proof, lambda batch: _training_step(network, *inputs(batch)))

    found = measure()
    proof.reset_memory()
    batch, theirs = found or (2 if proof.tiny else BATCHES[-1], None)
    _row(proof, f"{NAME} training step on latents", batch, theirs, _ours(proof, batch), "bf16-mixed, eager")


def _iteration(proof: Proof) -> None:
    """The original encodes in every step; ours reads the cache."""
    if reference.CHECKOUT is None or proof.tiny:  # the paper's size is its only one
        return
    found = _published_iteration(proof)
    proof.reset_memory()
    if found is None:
        proof.row(note=f"{NAME} iteration from pixels: the original does not fit with a batch of {BATCHES[-1]}")
        return
    batch, theirs = found
    mode = "bf16-mixed, from a cache, eager"
    _row(proof, f"{NAME} iteration, the original's from pixels", batch, theirs, _ours(proof, batch), mode)


def _published_iteration(proof: Proof) -> tuple[int, Steps] | None:
    autoencoder: Any = reference.autoencoder()
    autoencoder.to(proof.device)

    def make(batch: int) -> Callable[[], None]:
        network, inputs = _unet(proof)
        step = _training_step(network, *inputs(batch))
        clip = torch.rand(batch, 3, 16, 256, 256, device=proof.device) * 2 - 1

        def iteration() -> None:
            with torch.autocast(proof.device, torch.float16), torch.no_grad():
                autoencoder.extract(clip)
            step()

        return iteration

    return _largest_that_fits(proof, make)


def _denoising(proof: Proof) -> None:
    """A DDIM step: the original evaluates both halves of the guidance whatever its weight."""
    network, inputs = _unet(proof)
    module = module_of(proof, MODELS[NAME]).to(proof.device).eval()
    latents = batch_of(module, max(ONE_DDIM_STEP))["clip"].to(proof.device)
    for batch in ONE_DDIM_STEP:
        z, t = inputs(batch)

        def theirs(z: Tensor = z, t: Tensor = t) -> Tensor:
            with torch.no_grad():
                return network(z, z, t) - 0 * network(z, None, t)

        def ours(t: Tensor = t) -> Tensor:
            with torch.no_grad(), proof.autocast():
                return module.pipeline.denoise(latents[: len(t)], t, None)

        published = _published(proof, theirs)
        proof.reset_memory()
        steps = Steps(0.0, proof.seconds(ours, budget=0.5), proof.peak(), 0)
        _row(proof, f"{NAME} DDIM step", batch, published, steps, "bf16, eager")


def _stage_one(proof: Proof) -> None:
    if reference.CHECKOUT is None or proof.tiny:
        return
    try:
        theirs = _published(proof, _published_stage_one(proof))
    except torch.OutOfMemoryError:
        proof.row(note=f"stage one: the original does not fit with a batch of {STAGE_ONE}")
        return
    proof.reset_memory()
    for gradient_checkpointing in (False, True):
        module = autoencoder_module(proof, gradient_checkpointing)
        ours = train(proof, module, clips_of(module, STAGE_ONE), budget=2.0)
        mode = f"bf16-mixed, eager{', checkpointing' if gradient_checkpointing else ''}"
        _row(proof, "stage one training step", STAGE_ONE, theirs, ours, mode)
        del module
        proof.reset_memory()


def _published_stage_one(proof: Proof) -> Callable[[], None]:
    """The autoencoder's step, its discriminators evaluated with a weight of zero as before its threshold."""
    network: Any = reference.autoencoder()
    judges: Any = reference.discriminators()
    network.to(proof.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)
    scaler = torch.amp.GradScaler(proof.device)
    for judge in (judges.frame, judges.clip):
        judge.to(proof.device)
    clip = torch.rand(STAGE_ONE, 3, 16, 256, 256, device=proof.device) * 2 - 1

    def step() -> None:
        network.zero_grad()
        with torch.autocast(proof.device, torch.float16):
            made = network(clip)[0].unflatten(0, (len(clip), -1)).transpose(1, 2)
            loss = (made - clip).abs().mean()
            for judge, real, fake in ((judges.frame, clip[:, :, 0], made[:, :, 0]), (judges.clip, clip, made)):
                real_features = judge(real.contiguous())[1][:-1]
                logits, features = judge(fake.contiguous())
                matching = sum((f - r.detach()).abs().mean() for f, r in zip(features[:-1], real_features))
                loss = loss + 0.0 * (matching - logits.mean())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step
