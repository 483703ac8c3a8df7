"""LPIPS with a VGG-16 trunk, as a distance of two videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.published_network import PublishedNetwork
from pvdm_lightning.models.lpips_vgg import build_lpips
from pvdm_lightning.pretrained_files import VGG16


class VideoLPIPSDistance(nn.Module):
    """Two uint8 videos [B 3 T H W] in 0..255 -> the mean LPIPS of their frames, float32 [B].

    Args:
        trunk: torchvision's state dict of VGG-16 or AlexNet; its ``features.*`` entries are read.
        net: Which of them.

    Raises:
        ValueError: A convolution of the trunk is missing or misshapen; it is named.
    """

    def __init__(self, trunk: Mapping[str, Tensor], net: Literal["vgg", "alex"] = "vgg") -> None:
        super().__init__()
        self.lpips = build_lpips(trunk, net)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        for argument, videos in (("first", first), ("second", second)):
            check_videos(argument, videos, "[B 3 T H W]")
        # One video at a time: the trunk's first activations of a 16 x 256 x 256 clip alone take 268 MB.
        values = []
        for pair in zip(first, second):
            frames = (video.transpose(0, 1).float() / 127.5 - 1 for video in pair)
            values.append(self.lpips(*frames).mean())
        return torch.stack(values)


def _load(path: Path) -> VideoLPIPSDistance:
    return VideoLPIPSDistance(load_tensors(path))


LPIPS_VGG16 = PublishedNetwork(
    name="lpips-vgg16",
    file=VGG16,
    num_outputs=1,
    load=_load,
    num_inputs=2,
)
