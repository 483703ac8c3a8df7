import pytest
import torch
from torch import nn

from pvdm_lightning.metrics import I3D, TRANSNETV2, FrechetVideoDistance, FrozenNetwork


class PixelProduct(nn.Module):
    """A product large enough for torch to give up precision where it may."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(768, 512, generator=torch.Generator().manual_seed(0)))

    def forward(self, videos):
        return (videos.float() / 255).flatten(1) @ self.weight


def test_features_do_not_follow_the_run_around(network, moving_patterns):
    videos = moving_patterns(4, seed=1)
    product = FrozenNetwork(PixelProduct(), "random-weights product", 512)
    many = torch.randint(0, 256, (64, 3, 2, 8, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, before_product = network(videos), product(many)
    metric = FrechetVideoDistance(network).train().half()
    metric.set_dtype(torch.bfloat16)
    nn.Sequential(metric).double().train()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            after, after_product = network(videos), product(many)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(after, before)
    assert torch.equal(after_product, before_product)
    assert not after.requires_grad
    assert metric.real_outer.dtype == torch.float64


def test_a_metric_registers_nothing_of_the_network(network):
    metric = FrechetVideoDistance(network)
    assert list(metric.parameters()) == []
    assert list(metric.modules()) == [metric]
    assert metric.state_dict() == {}


@pytest.mark.parametrize("bad", [torch.zeros(1, 3, 16, 8, 8), torch.zeros(3, 16, 8, 8, dtype=torch.uint8)])
def test_only_uint8_videos_are_taken(network, bad):
    with pytest.raises(ValueError, match=r"for random-weights \(seed 0\) .*: is not uint8 \[B 3 T H W\]"):
        network(bad)


def test_unquantised_pixels_are_taken_where_the_caller_says_so(network, moving_patterns):
    videos = moving_patterns(2, seed=1)
    product = FrozenNetwork(PixelProduct(), "random-weights product", 512)
    small = videos[:, :, :2, :8, :16]
    assert torch.equal(product(small.float(), unquantised=True), product(small))
    assert not torch.equal(product((small.float() + 0.3).clamp(max=255), unquantised=True), product(small))
    for values, said in ((small.float() * 2, "is not in 0..255"), (small.double(), "is not uint8")):
        with pytest.raises(ValueError, match=said):
            network(values, unquantised=True)
    with pytest.raises(ValueError, match="is not uint8"):
        network(small.float())


def test_networks_look_at_pixels_and_not_at_their_type(moving_patterns):
    transnet = TRANSNETV2.find(None, "FeatureNetworks.transnet")
    i3d = FrozenNetwork(I3D(8), "random-weights i3d", 8)
    for network in (transnet, i3d):
        videos = moving_patterns(1, seed=1)[:, :, :9]
        assert torch.equal(network(videos.float(), unquantised=True), network(videos))
