"""Seeded random weights stand in for the published networks, and their names say so."""

import pytest
import torch
from torch import nn

from pvdm_lightning.metrics import FrozenNetwork


class RandomVideoFeatures(nn.Module):
    """Features that see space and time: convolutions with random weights, then their mean."""

    def __init__(self, num_outputs):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.space_time = nn.Conv3d(3, 32, (3, 5, 5), stride=(1, 2, 2), bias=False)
        self.mix = nn.Conv3d(32, num_outputs, 3, stride=2, bias=False)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator).div_(parameter[0].numel() ** 0.5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, videos):
        x = torch.relu(self.space_time(videos.float() / 127.5 - 1))
        return self.dropout(torch.relu(self.mix(x)).mean(dim=(2, 3, 4))) * 10


@pytest.fixture(scope="session")
def network():
    return FrozenNetwork(RandomVideoFeatures(24), "random-weights (seed 0)", num_outputs=24)


@pytest.fixture(scope="session")
def moving_patterns():
    """`moving_patterns(count, seed)` -> uint8 [count 3 16 24 24]: coloured waves that travel."""

    def make(count, seed):
        g = torch.Generator().manual_seed(seed)
        shape = (count, 3, 1, 1, 1)
        t, y, x = torch.meshgrid(torch.arange(16), torch.arange(24), torch.arange(24), indexing="ij")
        kx, ky = (0.2 + 0.8 * torch.rand(count, 1, 1, 1, 1, generator=g) for _ in range(2))
        speed = 0.1 + 0.5 * torch.rand(count, 1, 1, 1, 1, generator=g)
        phase, height = 6.3 * torch.rand(shape, generator=g), 40 + 60 * torch.rand(shape, generator=g)
        return (128 + height * torch.sin(kx * x + ky * y - speed * t + phase)).to(torch.uint8)

    return make
