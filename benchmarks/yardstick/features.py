"""Frechet distances over features; of a video network, TransNetV2, whose weights come with its package."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.timing import say
from pvdm_lightning.metrics import TRANSNETV2, FrozenNetwork, frechet


def distance(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features [N F]."""
    return frechet(one, other)


def features_of(network: FrozenNetwork, videos: Tensor) -> Tensor:
    """Features [N F] of videos uint8 [N 3 T H W], a few at a time."""
    return torch.cat([network(some) for some in videos.split(8)])


def network_if_installed() -> FrozenNetwork | None:
    """TransNetV2, or None, with a line that says how to get it."""
    network = TRANSNETV2.find(None, "FeatureNetworks.transnet")
    if network is None:
        say(f"no TransNetV2 distance: {TRANSNETV2.file.how_to_get()}\n")
    return network
