"""Axis pooling and positions, against loops over coordinates."""

import pytest
import torch
from torch.nn import functional as F

from pvdm_lightning.models.triplane import RowLayout, Triplane, TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.models.unet.axis_pooling import AxisPooling

SHAPE = TriplaneShape(frames=4, height=2, width=3)


def pooling(channels=4):
    torch.manual_seed(0)
    module = AxisPooling(channels, norm_groups=2)
    for layer in (module.to_s, module.to_h, module.to_w):
        torch.nn.init.normal_(layer.weight)
    return module


def test_it_starts_as_the_identity():
    layout = RowLayout(2, SHAPE)
    x = torch.randn(2 * SHAPE.num_tokens, 4)
    assert torch.equal(AxisPooling(4, norm_groups=2)(x, layout), x)


def test_each_position_sees_the_other_planes_at_its_own_coordinates():
    module, x = pooling(), torch.randn(1, 4, SHAPE.num_tokens)
    normed = F.group_norm(x, module.norm.num_groups, module.norm.weight, module.norm.bias)
    z_s, z_h, z_w = Triplane.from_sequence(normed, SHAPE)
    layout = RowLayout(1, SHAPE)
    added = Triplane.from_sequence(layout.to_sequence(module(layout.from_sequence(x), layout)) - x, SHAPE)
    for h in range(2):
        for w in range(3):
            seen = torch.cat([z_w[0, :, :, h].mean(1), z_h[0, :, :, w].mean(1)])
            torch.testing.assert_close(added.z_s[0, :, h, w], module.to_s(seen), rtol=1e-4, atol=1e-5)
    for t in range(4):
        for w in range(3):
            seen = torch.cat([z_w[0, :, t].mean(1), z_s[0, :, :, w].mean(1)])
            torch.testing.assert_close(added.z_h[0, :, t, w], module.to_h(seen), rtol=1e-4, atol=1e-5)
        for h in range(2):
            seen = torch.cat([z_h[0, :, t].mean(1), z_s[0, :, h].mean(1)])
            torch.testing.assert_close(added.z_w[0, :, t, h], module.to_w(seen), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [TriplaneShape(4, 4, 4), TriplaneShape(5, 3, 2)])
def test_a_network_with_both_trains_every_weight(shape):
    torch.manual_seed(0)
    options = {"base_channels": 32, "channel_multipliers": (1, 2), "blocks_per_level": 1, "heads": 2, "norm_groups": 8}
    unet = TriplaneUNet(shape, position_embedding=True, axis_pooling=True, **options)  # type: ignore[arg-type]
    plain = TriplaneUNet(shape, **options)  # type: ignore[arg-type]
    assert set(plain.state_dict()) < set(unet.state_dict())
    for weight in unet.parameters():  # what starts at zero would hide the paths behind it
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
    unet(torch.randn(2, 4, shape.num_tokens), torch.tensor([3, 500])).square().mean().backward()
    assert [name for name, weight in unet.named_parameters() if weight.grad is None or not weight.grad.any()] == []
