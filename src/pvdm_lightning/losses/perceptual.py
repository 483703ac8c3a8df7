"""LPIPS as a training loss, with VGG-16 weights that the user provides."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.foreign_files import load_tensors
from pvdm_lightning.models.lpips_vgg import build_lpips
from pvdm_lightning.pretrained import find_weights, remedy
from pvdm_lightning.pretrained_files import VGG16


class PerceptualLoss(nn.Module):
    """Mean LPIPS of two batches of frames; frozen.

    Args:
        trunk: Path of torchvision's VGG-16 file.
        argument: The option the path came from, for the error.

    Raises:
        InvalidArgumentError: The file is not such a state dict.
    """

    def __init__(self, trunk: Path, argument: str) -> None:
        super().__init__()
        try:
            self.lpips = build_lpips(load_tensors(trunk))
        except Exception as error:
            raise InvalidArgumentError(
                argument, trunk, f"cannot be read as VGG-16 weights ({error})", f"Give {VGG16.name}."
            ) from None

    @classmethod
    def find(cls, given: str | None, argument: str) -> PerceptualLoss | None:
        """The loss with the weights at `given` or in a cache folder; None if there are none."""
        path = find_weights(VGG16.name, given, argument)
        return None if path is None else cls(path, argument)

    @staticmethod
    def how_to_add(argument: str) -> str:
        return f"To add it, {remedy(VGG16.name, argument)}"

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Frames [B 3 H W] in [-1, 1] -> scalar, in float32 whatever autocast is on."""
        with torch.autocast(target.device.type, enabled=False):
            return self.lpips(reconstruction.float(), target.float()).mean()
