"""Seeded random networks in the published files' formats; their hashes are not the published ones, and names say so."""

import warnings

import torch
from torch import nn


class RandomDetector(nn.Module):
    """Called as StyleGAN-V's I3D is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 400, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.conv.weight.data.normal_(generator=torch.Generator().manual_seed(0))

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False):
        return torch.relu(self.conv(x.float() / 127.5 - 1)).mean(dim=[2, 3, 4])


class RandomClassifier(nn.Module):
    """Called as the C3D of the Inception Score is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 101, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.conv.weight.data.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)

    def forward(self, x: torch.Tensor):
        return torch.relu(self.conv(x.float() / 127.5 - 1)).mean(dim=[2, 3, 4]).softmax(dim=1)


def save_script(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module).save(str(path))
    return path
