"""The paper's networks, toys in their place, and the inputs and training steps that benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pvdm_lightning.losses.adversarial import feature_matching, generator_hinge
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.discriminators import PatchDiscriminator
from pvdm_lightning.models.triplane import TriplaneShape

SHAPE = TriplaneShape(16, 32, 32)
"""Of the paper's latents."""
MODELS = {"S": 128, "L": 256}
"""Base channels of PVDM-S and PVDM-L."""
TINY_SHAPE = TriplaneShape(4, 8, 8)
TINY_AUTOENCODER: dict[str, Any] = {
    **{"frames": 4, "resolution": 16, "dim": 32, "depth": 1, "heads": 2, "head_dim": 16},
    **{"projector_depth": 1, "projector_mlp_dim": 32},
}


def awaken(network: nn.Module) -> nn.Module:
    """Draw the weights that start at zero, so that every branch contributes."""
    for weight in network.parameters():
        if weight.dim() > 1 and not weight.detach().any():
            nn.init.normal_(weight, std=0.02)
    return network


def denoiser_inputs(batch: int, shape: TriplaneShape, device: str | None = "cpu") -> tuple[Tensor, Tensor, Condition]:
    """z_t, t, and the clip before as the condition."""
    size = (batch, 4, shape.num_tokens)
    z, previous = torch.randn(size, device=device), torch.randn(size, device=device)
    return z, torch.full((batch,), 500, device=device), Condition(previous)


def training_step(network: nn.Module, fused: bool | None) -> Callable[[Callable[[], Tensor]], None]:
    """A step: the loss that it is given, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=fused)

    def step(loss: Callable[[], Tensor]) -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()  # frees the gradients, so that two large models fit beside each other

    return step


def discriminators() -> list[nn.Module]:
    """Of frames and of clips."""
    return [PatchDiscriminator(dimensions) for dimensions in (2, 3)]


def adversarial_loss(network: nn.Module, judges: list[nn.Module], clip: Tensor) -> Tensor:
    """The loss of the autoencoder's turn in the adversarial phase, without LPIPS."""
    made = network(clip)
    loss: Tensor = (made - clip).abs().mean()
    for judge, real, fake in zip(judges, (clip[:, :, 0], clip), (made[:, :, 0], made)):
        logits, features = judge.requires_grad_(False)(fake)
        with torch.no_grad():
            real_features = judge(real)[1]
        loss = loss + generator_hinge(logits) + feature_matching(real_features, features)
    return loss
