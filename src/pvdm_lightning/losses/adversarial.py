"""Adversarial terms as pure functions (VQGAN, Esser et al. 2021; feature matching, Wang et al. 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """(E max(0, 1 - D(x)) + E max(0, 1 + D(x~))) / 2, of logits of any shape."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def generator_hinge(fake: Tensor) -> Tensor:
    """- E D(x~)."""
    return -fake.mean()


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Sum over the layers of a discriminator of the L1 distance of its features; no gradient to the real side."""
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).sum()
