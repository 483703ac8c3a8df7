"""C3D: the classifier of the video Inception Score, from a plain state dict.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", arXiv 1412.0767, figure 3.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvdm_lightning.errors import check_videos

FRAMES = 16
_INPUT_SIDE = 112
_RESIZED_SIDE = 128
# Mean pixel (R, G, B in 0..255) that the Sports-1M weights and their UCF-101 fine-tuning in MMAction2 subtract.
_MEAN = (104.0, 117.0, 128.0)
_CONVS = {
    "conv1a": (3, 64),
    "conv2a": (64, 128),
    "conv3a": (128, 256),
    "conv3b": (256, 256),
    "conv4a": (256, 512),
    "conv4b": (512, 512),
    "conv5a": (512, 512),
    "conv5b": (512, 512),
}


class C3D(nn.Module):
    """Videos [B 3 16 H W], uint8 or float32 in 0..255 -> log probabilities float32 [B num_classes].

    Preprocessing included: short side to 128, centre crop of 112, mean pixel subtracted.
    """

    mean: Tensor

    def __init__(self, num_classes: int = 101) -> None:
        super().__init__()
        self.convs = nn.ModuleDict({name: nn.Conv3d(*io, kernel_size=3, padding=1) for name, io in _CONVS.items()})
        self.fc6 = nn.Linear(512 * 4 * 4, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, num_classes)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)

    def forward(self, videos: Tensor) -> Tensor:
        check_videos("C3D.videos", videos, "[B 3 T H W]", unquantised=True)
        if videos.shape[2] != FRAMES:
            raise ValueError(f"C3D takes videos of {FRAMES} frames, not {videos.shape[2]}")
        x = self._preprocess(videos)
        for name, conv in self.convs.items():
            x = F.relu(conv(x))
            if name == "conv1a":
                x = F.max_pool3d(x, kernel_size=(1, 2, 2))
            elif name == "conv5b":
                x = F.max_pool3d(x, kernel_size=2, padding=(0, 1, 1))
            elif name in ("conv2a", "conv3b", "conv4b"):
                x = F.max_pool3d(x, kernel_size=2)
        x = F.relu(self.fc6(x.flatten(1)))
        x = F.relu(self.fc7(x))
        return F.log_softmax(self.fc8(x), dim=1)

    def _preprocess(self, videos: Tensor) -> Tensor:
        B, C, T, H, W = videos.shape
        scale = _RESIZED_SIDE / min(H, W)
        size = (math.ceil(H * scale), math.ceil(W * scale))
        frames = videos.transpose(1, 2).reshape(B * T, C, H, W).float()
        frames = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
        top, left = ((side - _INPUT_SIDE) // 2 for side in size)
        frames = frames[:, :, top : top + _INPUT_SIDE, left : left + _INPUT_SIDE] - self.mean
        return frames.reshape(B, T, C, _INPUT_SIDE, _INPUT_SIDE).transpose(1, 2)


def load_c3d(state_dict: Mapping[str, object]) -> C3D:
    """Build the C3D whose weights `state_dict` holds.

    Known spellings: layers ``conv1a`` .. ``fc8``; ``conv1`` and ``conv2`` for the first two; and those of MMAction2
    (``backbone.conv1a.conv``, ``cls_head.fc_cls``), whole checkpoints with a ``state_dict`` entry included.

    Raises:
        ValueError: A key is missing, left over or misshapen; it is named.
    """
    inner = state_dict.get("state_dict", state_dict)
    assert isinstance(inner, Mapping)
    weights = {_own_name(key): value for key, value in inner.items()}
    if "fc8.weight" not in weights:
        raise ValueError("the state dict is not a C3D: it has no fc8.weight")
    model = C3D(num_classes=len(weights["fc8.weight"]))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # torch names every key; only its type says nothing
        raise ValueError("; ".join(line.strip() for line in str(error).splitlines())) from error
    return model


def _own_name(key: str) -> str:
    key = key.removeprefix("module.").removeprefix("backbone.").replace("cls_head.fc_cls.", "fc8.")
    layer, *_, kind = key.split(".")
    layer = {"conv1": "conv1a", "conv2": "conv2a"}.get(layer, layer)
    return f"convs.{layer}.{kind}" if layer.startswith("conv") else f"{layer}.{kind}"
