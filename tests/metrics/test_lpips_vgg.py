from pathlib import Path

import lpips
import pytest
import torch
import torch.nn.functional as F

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import LPIPS_VGG16, VideoLPIPS

# VGG-16: channels of its convolutions, and a pooling before each group; LPIPS reads the end of each group.
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@pytest.fixture(scope="module")
def trunk():
    generator, weights, place, channels = torch.Generator().manual_seed(0), {}, 0, 3
    for group in GROUPS:
        for width in group:
            scale = (2 / (9 * channels)) ** 0.5
            weights[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * scale
            weights[f"features.{place}.bias"] = torch.randn(width, generator=generator) * 0.1
            place, channels = place + 2, width
        place += 1
    return weights


@pytest.fixture(scope="module")
def network(trunk, tmp_path_factory):
    path = tmp_path_factory.mktemp("lpips") / "random.pth"
    torch.save({**trunk, "classifier.0.bias": torch.zeros(3)}, path)
    before = torch.get_rng_state()
    found = LPIPS_VGG16.find(path, "--lpips")
    assert torch.equal(torch.get_rng_state(), before)
    return found


def lpips_by_hand(x, y, trunk):
    """Equation 1 of arXiv 1801.03924 on frames [N 3 H W] in [-1, 1], with the published heads."""
    heads = torch.load(
        Path(lpips.__file__).parent / "weights" / "v0.1" / "vgg.pth", weights_only=True, map_location="cpu"
    )
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x, y = ((z - shift.view(3, 1, 1)) / scale.view(3, 1, 1) for z in (x, y))
    distance, place = 0.0, 0
    for level, group in enumerate(GROUPS):
        if level:
            x, y = F.max_pool2d(x, 2), F.max_pool2d(y, 2)
        for _ in group:
            weight, bias = trunk[f"features.{place}.weight"], trunk[f"features.{place}.bias"]
            x, y = (F.relu(F.conv2d(z, weight, bias, padding=1)) for z in (x, y))
            place += 2
        place += 1
        difference = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
        distance = distance + (difference * heads[f"lin{level}.model.1.weight"]).sum(dim=1).mean(dim=(1, 2))
    return distance


def test_agreement_with_the_formula(network, trunk, moving_patterns):
    original, other = moving_patterns(2, seed=0)[:, :, :3], moving_patterns(2, seed=1)[:, :, :3]
    metric = VideoLPIPS(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        metric.update(other, original)
    frames = [videos.transpose(1, 2).flatten(0, 1).float() / 127.5 - 1 for videos in (other, original)]
    assert metric.compute().item() == pytest.approx(lpips_by_hand(*frames, trunk).mean().item(), rel=1e-4)
    assert list(metric.parameters()) == []


def test_equal_videos_are_at_distance_zero(network, moving_patterns):
    videos = moving_patterns(1, seed=0)[:, :, :2]
    assert network(videos, videos).item() == 0


def test_a_random_trunk_says_so(network):
    assert network.name.startswith("lpips-vgg16 (unrecognised file ")


def test_a_trunk_that_is_not_vgg16_is_refused(trunk, tmp_path):
    torch.save({key: value for key, value in trunk.items() if key != "features.28.bias"}, tmp_path / "cut.pth")
    with pytest.raises(InvalidArgumentError, match=r"not torchvision's VGG-16: features.28.bias is missing"):
        LPIPS_VGG16.find(tmp_path / "cut.pth", "--lpips")
