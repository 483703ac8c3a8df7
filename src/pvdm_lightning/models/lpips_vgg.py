"""The LPIPS network with a VGG-16 trunk, built from a file: the training loss and the metric are the same distance.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", arXiv 1801.03924. The linear
heads come with the lpips package; the trunk is torchvision's ImageNet file.
"""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def build_lpips(trunk: Mapping[str, Tensor]) -> nn.Module:
    """LPIPS 0.1 with the trunk's weights: (images, images), each [B 3 H W] in [-1, 1] -> [B 1 1 1].

    Args:
        trunk: torchvision's VGG-16 state dict; its ``features.*`` entries are read.

    Raises:
        ValueError: A convolution of the trunk is missing or misshapen; it is named.
    """
    import lpips  # with torchvision, which takes long to load

    # The trunk is drawn at random before it is loaded: that must not move the run's own random state.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")  # lpips calls it by a deprecated argument
        network: nn.Module = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    for name, module in network.net.named_modules():  # type: ignore[union-attr]
        if not isinstance(module, nn.Conv2d):
            continue
        for kind, own in module.named_parameters():
            key = f"features.{name.split('.')[1]}.{kind}"
            if key not in trunk or trunk[key].shape != own.shape:
                found = list(trunk[key].shape) if key in trunk else "missing"
                raise ValueError(f"not torchvision's VGG-16: {key} is {found}, needed {list(own.shape)}")
            own.data.copy_(trunk[key])
    return network.eval().requires_grad_(False)
