"""The optimizer of a network: AdamW, as in the paper, or Muon."""

from typing import Any, Literal

import torch
from torch import nn

from pvdm_lightning.training.muon import Muon, hidden_and_others

OptimizerName = Literal["adamw", "muon"]

# First and last layers of both networks, learned tokens and positions: Muon leaves them to AdamW.
EDGES = (
    *("embed", "embed_time", "stem", "head_conv"),
    *("to_latent", "from_s", "from_h", "from_w", "to_pixels"),
    *("token", "positions"),
)


def make_optimizer(
    name: OptimizerName,
    network: nn.Module,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool = True,
) -> torch.optim.Optimizer:
    """The optimizer of an autoencoder or a denoiser.

    Args:
        name: adamw or muon.
        network: The one to train.
        learning_rate: Its largest.
        betas: Of AdamW.
        fused: Whether AdamW updates all weights in one kernel.
    """
    if name == "adamw":
        options: dict[str, Any] = {"lr": learning_rate, "betas": betas, "fused": fused}
        return torch.optim.AdamW(network.parameters(), **options)
    hidden, others = hidden_and_others(network, EDGES)
    return Muon(hidden, others, learning_rate, betas)
