"""Inception-v1 inflated to 3D, with Kinetics-400 logits: the feature network of FVD.

Carreira & Zisserman, "Quo Vadis, Action Recognition?", arXiv 1705.07750, figure 3.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos
from pvdm_lightning.metrics.frozen_network import exact_inference

INPUT_SIDE = 224
# Three time strides of 2 must leave the two steps that the average pooling spans.
MIN_FRAMES = 9

# Output channels: 1x1; 1x1 then 3x3; 1x1 then 3x3; 1x1 after the pooling.
_MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


class I3D(nn.Module):
    """Videos [B 3 T H W], uint8 or float32 in 0..255, T >= 9, any H and W -> logits float32 [B num_classes].

    Preprocessing included. Always in eval mode and without gradients; autocast does not reach inside.

    Args:
        num_classes: Number of logits.
        prepare: Preprocessing. Default: `preprocess`; `preprocess_stretched` is the other in use.
    """

    def __init__(self, num_classes: int = 400, prepare: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.prepare = prepare or preprocess
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv_1a"] = ConvNormReLU(3, 64, kernel=7, stride=2)
        layers["pool_2a"] = SamePaddedMaxPool((1, 3, 3), (1, 2, 2))
        layers["conv_2b"] = ConvNormReLU(64, 64, kernel=1)
        layers["conv_2c"] = ConvNormReLU(64, 192, kernel=3)
        layers["pool_3a"] = SamePaddedMaxPool((1, 3, 3), (1, 2, 2))
        channels = 192
        for stage, widths in _MIXED.items():
            if stage == "4b":
                layers["pool_4a"] = SamePaddedMaxPool((3, 3, 3), (2, 2, 2))
            if stage == "5b":
                layers["pool_5a"] = SamePaddedMaxPool((2, 2, 2), (2, 2, 2))
            mixed = Mixed(channels, widths)
            layers[f"mixed_{stage}"], channels = mixed, mixed.out_channels
        self.trunk = nn.Sequential(layers)
        self.to_logits = nn.Conv3d(channels, num_classes, kernel_size=1)
        self.requires_grad_(False).train()

    def train(self, mode: bool = True) -> "I3D":
        """Stay in eval mode: batch statistics would make the features of a video depend on its batch."""
        return super().train(False)

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("I3D.videos", videos, "[B 3 T H W]", unquantised=True)
        if videos.shape[2] < MIN_FRAMES:
            raise ValueError(f"I3D needs at least {MIN_FRAMES} frames, not {videos.shape[2]}")
        with exact_inference(videos.device):
            x = self.trunk(self.prepare(videos))
            x = F.avg_pool3d(x, kernel_size=(2, 7, 7), stride=1)
            return self.to_logits(x).mean(dim=(2, 3, 4))


def preprocess(videos: Tensor) -> Tensor:
    """uint8 [B C T H W] -> float32 [B C T 224 224] in [-1, 1]: short side to 224 (bilinear, no antialias), centre crop.

    These choices are the original evaluation's; an antialiased resize gives another FVD.
    """
    B, C, T, H, W = videos.shape
    scale = INPUT_SIDE / min(H, W)
    size = (INPUT_SIDE, math.ceil(W * scale)) if H < W else (math.ceil(H * scale), INPUT_SIDE)
    frames = videos.transpose(1, 2).reshape(B * T, C, H, W).float() / 255
    frames = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    top, left = ((side - INPUT_SIDE) // 2 for side in size)
    frames = frames[:, :, top : top + INPUT_SIDE, left : left + INPUT_SIDE]
    return (2 * frames - 1).reshape(B, T, C, INPUT_SIDE, INPUT_SIDE).transpose(1, 2)


def preprocess_stretched(videos: Tensor) -> Tensor:
    """uint8 [B C T H W] -> float32 [B C T 224 224] in [-1, 1]: stretched (bilinear in 0..255, no antialias), no crop.

    TATS (tats/fvd/fvd.py:17-27), LVDM, cdFVD.
    """
    B, C, T, _, _ = videos.shape
    frames = videos.transpose(1, 2).flatten(0, 1).float()
    frames = F.interpolate(frames, (INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
    return (2 * frames / 255 - 1).unflatten(0, (B, T)).transpose(1, 2)


class ConvNormReLU(nn.Module):
    """Convolution with "same" padding, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(out_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(pad_same(x, self.conv.kernel_size, self.conv.stride))))


class SamePaddedMaxPool(nn.Module):
    """Max pooling with "same" padding by zeros, which after a ReLU never win over a value."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """The inception block: four branches side by side, concatenated along channels."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        direct, narrow_a, wide_a, narrow_b, wide_b, pooled = widths
        self.direct = ConvNormReLU(in_channels, direct, kernel=1)
        self.narrow_a = ConvNormReLU(in_channels, narrow_a, kernel=1)
        self.wide_a = ConvNormReLU(narrow_a, wide_a, kernel=3)
        self.narrow_b = ConvNormReLU(in_channels, narrow_b, kernel=1)
        self.wide_b = ConvNormReLU(narrow_b, wide_b, kernel=3)
        self.pool = SamePaddedMaxPool((3, 3, 3), (1, 1, 1))
        self.after_pool = ConvNormReLU(in_channels, pooled, kernel=1)
        self.out_channels = direct + wide_a + wide_b + pooled

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.direct(x),
            self.wide_a(self.narrow_a(x)),
            self.wide_b(self.narrow_b(x)),
            self.after_pool(self.pool(x)),
        )
        return torch.cat(branches, dim=1)


def pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zero-pad [B C T H W] for outputs of ceil(input / stride); the odd zero goes behind, as in TensorFlow."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride)):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x
