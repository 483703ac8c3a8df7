from pathlib import Path

import lpips
import pytest
import torch
import torch.nn.functional as F

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import LPIPS_ALEXNET, VideoLPIPS

# AlexNet: place in torchvision's trunk, channels, kernel, stride and padding of each convolution.
CONVOLUTIONS = ((0, 64, 11, 4, 2), (3, 192, 5, 1, 2), (6, 384, 3, 1, 1), (8, 256, 3, 1, 1), (10, 256, 3, 1, 1))
AFTER_POOLING = (3, 6)


@pytest.fixture(scope="module")
def trunk():
    generator, weights, channels = torch.Generator().manual_seed(0), {}, 3
    for place, width, kernel, _, _ in CONVOLUTIONS:
        scale = (2 / (kernel**2 * channels)) ** 0.5
        weights[f"features.{place}.weight"] = torch.randn(width, channels, kernel, kernel, generator=generator) * scale
        weights[f"features.{place}.bias"] = torch.randn(width, generator=generator) * 0.1
        channels = width
    return weights


def lpips_by_hand(x, y, trunk):
    """Equation 1 of arXiv 1801.03924 on frames [N 3 H W] in [-1, 1], with the published heads of AlexNet."""
    heads = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth", weights_only=True, map_location="cpu"
    )
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = ((z - shift.view(3, 1, 1)) / scale.view(3, 1, 1) for z in (x, y))
    distance = 0.0
    for level, (place, _, _, stride, padding) in enumerate(CONVOLUTIONS):
        if place in AFTER_POOLING:
            x, y = (F.max_pool2d(z, 3, 2) for z in (x, y))
        weight, bias = trunk[f"features.{place}.weight"], trunk[f"features.{place}.bias"]
        x, y = (F.relu(F.conv2d(z, weight, bias, stride, padding)) for z in (x, y))
        difference = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
        distance = distance + (difference * heads[f"lin{level}.model.1.weight"]).sum(dim=1).mean(dim=(1, 2))
    return distance


def test_agreement_with_the_formula(trunk, tmp_path, moving_patterns):
    torch.save(trunk, tmp_path / "random.pth")
    network = LPIPS_ALEXNET.find(tmp_path / "random.pth", "--lpips_alex")
    assert network.name.startswith("lpips-alexnet (unrecognised file ")
    original, other = (moving_patterns(2, seed=seed)[:, :, :2].repeat(1, 1, 1, 4, 4) for seed in (0, 1))
    metric = VideoLPIPS(network)
    metric.update(other, original)
    frames = [videos.transpose(1, 2).flatten(0, 1).float() / 127.5 - 1 for videos in (other, original)]
    assert metric.compute().item() == pytest.approx(lpips_by_hand(*frames, trunk).mean().item(), rel=1e-4)


def test_the_file_of_another_trunk_is_refused(trunk, tmp_path):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg.pth")
    with pytest.raises(InvalidArgumentError, match="not torchvision's AlexNet: features.0.weight is"):
        LPIPS_ALEXNET.find(tmp_path / "vgg.pth", "--lpips_alex")
