"""Rotation of queries and keys in one pass over memory, where PyTorch's operators take four."""

from __future__ import annotations

import torch
from torch import Tensor

from pvdm_lightning.gpu.availability import takes_kernels
from pvdm_lightning.models.autoencoder.rotary import RotaryHeads, rotate


class FusedRotaryHeads(RotaryHeads):
    """As `RotaryHeads`, by the operator of this file."""

    @staticmethod
    def rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor | None = None) -> Tensor:
        """As `rotate` of models/autoencoder/rotary.py, x [A B H D_head]."""
        if out is None:
            out = x.new_empty(x.shape)
        _rotate(x, cos, sin, out)
        return out


@torch.library.custom_op("pvdm_lightning::rotate", mutates_args=("out",))
def _rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    """Write the rotation of x [A B H D_head] into `out`; the tables are broadcast to [A B 1 D_head]."""
    if takes_kernels(x):
        from pvdm_lightning.gpu.rotary_kernel import launch

        launch(x, cos, sin, out)
    else:
        rotate(x, cos, sin, out)


@_rotate.register_fake
def _(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    """Nothing is computed."""
