"""Decoded frame -> the picture a model sees: centre crop to the wanted aspect, then antialiased resize."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def centre_crop_box(height: int, width: int, resolution: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred box of the aspect of `resolution` inside a picture.

    Args:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        resolution: The wanted (height, width); only its aspect matters.

    Returns:
        (top, left, box height, box width) in pixels; at least 1 x 1.
    """
    wanted_height, wanted_width = resolution
    box_height = min(height, max(1, round(width * wanted_height / wanted_width)))
    box_width = min(width, max(1, round(height * wanted_width / wanted_height)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def crop_and_resize(frame: np.ndarray, resolution: tuple[int, int]) -> Tensor:
    """Centre crop a frame to the aspect of `resolution` and resize it with antialiasing.

    Stays in uint8 throughout: three times as fast as through float, and rounded just once.

    Args:
        frame: uint8 [H, W, 3].
        resolution: The wanted (height, width).

    Returns:
        uint8 [3, height, width].
    """
    top, left, height, width = centre_crop_box(frame.shape[0], frame.shape[1], resolution)
    picture = torch.from_numpy(frame)[top : top + height, left : left + width].permute(2, 0, 1)
    if (height, width) == resolution:
        return picture.contiguous()
    # One picture in channels-last order is what torch's vectorised uint8 kernel wants.
    resized = F.interpolate(picture[None], size=resolution, mode="bilinear", antialias=True, align_corners=False)
    return resized[0].contiguous()
