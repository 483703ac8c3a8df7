"""Patch discriminators of single frames (2D) and of clips (3D), after pix2pix (Isola et al. 2017)."""

import torch
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Strided convolutions that give one logit per patch.

    Batch norm uses the statistics of the batch at hand and keeps no running ones: a discriminator is never evaluated
    outside training.

    Args:
        dimensions: 2 for frames, 3 for clips.
        base_channels: Channels of the first layer; they double up to eight times that.
        strided_layers: Layers of stride 2.
    """

    def __init__(self, dimensions: int, base_channels: int = 64, strided_layers: int = 3) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
        norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions]

        def layer(in_channels: int, out_channels: int, stride: int, normed: bool) -> nn.Sequential:
            # The norm would take a bias away again: its gradient is rounding noise, which Adam would make steps of.
            convolution = conv(in_channels, out_channels, kernel_size=4, stride=stride, padding=2, bias=not normed)
            parts: list[nn.Module] = [convolution]
            if normed:
                parts.append(norm(out_channels, track_running_stats=False))
            return nn.Sequential(*parts, nn.LeakyReLU(0.2))

        widths = [base_channels * min(2**i, 8) for i in range(strided_layers + 1)]
        layers = [layer(3, widths[0], stride=2, normed=False)]
        for i in range(1, strided_layers):
            layers.append(layer(widths[i - 1], widths[i], stride=2, normed=True))
        layers.append(layer(widths[-2], widths[-1], stride=1, normed=True))
        self.layers = nn.ModuleList(layers)
        self.to_logits = conv(widths[-1], 1, kernel_size=4, stride=1, padding=2)
        self.apply(_init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Frames [B 3 H W] or clips [B 3 S H W] in [-1, 1] -> logits of the patches, and every layer's features."""
        features: list[Tensor] = []
        # On the CPU in float32: there the bfloat16 gradient of a 3D kernel is NaN for small maps (oneDNN, torch 2.15).
        with torch.autocast("cpu", enabled=False):
            x = x.float() if x.device.type == "cpu" else x
            for layer in self.layers:
                x = layer(x)
                features.append(x)
            return self.to_logits(x), features


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
