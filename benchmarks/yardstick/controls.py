"""Spoiled real clips, which the yardstick must order: real, blurred, shuffled, noise."""

import torch
from scipy import ndimage
from torch import Tensor


def blurred(clips: Tensor) -> Tensor:
    """Each frame through a Gaussian of a 32nd of its height; uint8 [N 3 T H W]."""
    sigma = clips.shape[3] / 32
    return torch.from_numpy(ndimage.gaussian_filter(clips.numpy(), (0, 0, 0, sigma, sigma)))


def shuffled(clips: Tensor, patch: int) -> Tensor:
    """The patches of each clip in another order, the same for all of its frames."""
    rows, columns = clips.shape[3] // patch, clips.shape[4] // patch
    parts = clips.unflatten(4, (columns, patch)).unflatten(3, (rows, patch))  # [N 3 T rows p columns p]
    parts = parts.permute(0, 3, 5, 1, 2, 4, 6).flatten(1, 2)
    draws = torch.Generator().manual_seed(0)
    mixed = torch.stack([each[torch.randperm(rows * columns, generator=draws)] for each in parts])
    return mixed.unflatten(1, (rows, columns)).permute(0, 3, 4, 1, 5, 2, 6).flatten(5, 6).flatten(3, 4)


def noise(clips: Tensor) -> Tensor:
    """Uniform noise of the same size."""
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, clips.shape, dtype=torch.uint8, generator=draws)
