"""The LPIPS network, built from the file of its trunk: the training loss and the metric are the same distance.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", arXiv 1801.03924. The linear
heads come with the lpips package; the trunk is torchvision's ImageNet file.
"""

import warnings
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn


def build_lpips(trunk: Mapping[str, Tensor], net: Literal["vgg", "alex"] = "vgg") -> nn.Module:
    """LPIPS 0.1 with the trunk's weights: (images, images), each [B 3 H W] in [-1, 1] -> [B 1 1 1].

    Args:
        trunk: torchvision's state dict of VGG-16 or AlexNet; its ``features.*`` entries are read.
        net: Which of them. Their distances differ several times over.

    Raises:
        ValueError: A convolution of the trunk is missing or misshapen; it is named.
    """
    import lpips  # with torchvision, which takes long to load

    # The trunk is drawn at random before it is loaded: that must not move the run's own random state.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")  # lpips calls it by a deprecated argument
        network: nn.Module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    for name, module in network.net.named_modules():  # type: ignore[union-attr]
        if not isinstance(module, nn.Conv2d):
            continue
        for kind, own in module.named_parameters():
            key = f"features.{name.split('.')[1]}.{kind}"
            if key not in trunk or trunk[key].shape != own.shape:
                found = list(trunk[key].shape) if key in trunk else "missing"
                name_of_trunk = {"vgg": "VGG-16", "alex": "AlexNet"}[net]
                raise ValueError(f"not torchvision's {name_of_trunk}: {key} is {found}, needed {list(own.shape)}")
            own.data.copy_(trunk[key])
    return network.eval().requires_grad_(False)
