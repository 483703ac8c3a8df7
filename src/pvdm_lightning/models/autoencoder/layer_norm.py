"""Layer norm that keeps the precision of a run."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm(nn.LayerNorm):
    """Layer norm with statistics in float32, and input and output in the dtype of x.

    Autocast on CUDA would cast x to float32 and keep that copy, although the layer after it casts the result back: five
    times the memory traffic. The weights are cast instead, as autocast casts those of linear layers.
    """

    def forward(self, x: Tensor) -> Tensor:
        """X [... D] -> likewise."""
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)
