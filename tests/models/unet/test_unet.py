import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet


def unet(shape, **more):
    torch.manual_seed(0)
    model = TriplaneUNet(shape, latent_channels=2, base_channels=32, heads=2, **more)
    for weight in model.parameters():  # what starts at zero would hide the paths behind it
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    return model


@pytest.mark.parametrize(
    "shape", [TriplaneShape(4, 8, 8), TriplaneShape(6, 5, 9), TriplaneShape(1, 3, 2), TriplaneShape(8, 8, 8)]
)
def test_any_plane_size(shape):
    model = unet(shape)
    z = torch.randn(2, 2, shape.num_tokens)
    assert model(z, torch.tensor([0, 999])).shape == z.shape


def test_no_condition_is_a_condition_of_zeros():
    shape = TriplaneShape(4, 4, 4)
    model, z, t = unet(shape), torch.randn(2, 2, shape.num_tokens), torch.tensor([3, 500])
    with torch.no_grad():
        none, zeros, other = model(z, t), model(z, t, Condition(z * 0)), model(z, t, Condition(z * 0 + 1))
    assert torch.equal(none, zeros)
    assert not torch.allclose(none, other)


def test_planes_learn_of_each_other():
    """A change in one plane reaches the prediction on the other two."""
    shape = TriplaneShape(4, 4, 4)
    model, z, t = unet(shape), torch.randn(1, 2, shape.num_tokens), torch.tensor([100])
    changed = z.clone()
    changed[:, :, : shape.lengths[0]] += 1
    with torch.no_grad():
        difference = (model(changed, t) - model(z, t)).abs()
    assert difference[:, :, shape.lengths[0] :].min() > 0


def test_starts_by_predicting_nothing():
    shape = TriplaneShape(4, 4, 4)
    model = TriplaneUNet(shape, base_channels=32)
    assert not model(torch.randn(1, 4, shape.num_tokens), torch.tensor([5])).any()


def test_every_weight_gets_a_gradient():
    shape = TriplaneShape(4, 8, 8)
    model = unet(shape)
    model(
        torch.randn(1, 2, shape.num_tokens), torch.tensor([5]), Condition(torch.randn(1, 2, shape.num_tokens))
    ).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_checkpointing_changes_nothing_but_memory():
    shape = TriplaneShape(4, 4, 5)
    z, gradients = torch.randn(1, 2, shape.num_tokens), []
    for gradient_checkpointing in (False, True):
        model = unet(shape, gradient_checkpointing=gradient_checkpointing)
        model(z, torch.tensor([5])).square().mean().backward()
        gradients.append([weight.grad for weight in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.allclose(plain, recomputed, atol=1e-6)


def test_wrong_sizes_are_refused():
    with pytest.raises(
        InvalidArgumentError, match=r"TriplaneUNet.base_channels 48: is not a multiple of 32, the groups"
    ):
        TriplaneUNet(base_channels=48)
    with pytest.raises(InvalidArgumentError, match=r"TriplaneUNet.heads 5: does not divide the 64 base channels"):
        TriplaneUNet(base_channels=64, heads=5)
    with pytest.raises(ValueError, match="no latent_shape"):
        TriplaneUNet(base_channels=32)(torch.zeros(1, 4, 8), torch.tensor([0]))


def test_norm_groups_are_those_of_every_norm_and_travel_in_the_config():
    model = TriplaneUNet(TriplaneShape(2, 4, 4), base_channels=32, channel_multipliers=(1, 2), heads=1, norm_groups=4)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert {norm.num_groups for norm in norms} == {4}
    assert model.config["norm_groups"] == 4 and TriplaneUNet(base_channels=64).config["norm_groups"] == 32
    with pytest.raises(InvalidArgumentError, match=r"TriplaneUNet.norm_groups 0: is not positive"):
        TriplaneUNet(norm_groups=0)


@pytest.mark.parametrize(("base_channels", "parameters"), [(128, 132e6), (256, 528e6)])
def test_size_of_the_presets(base_channels, parameters):
    with torch.device("meta"):
        model = TriplaneUNet(base_channels=base_channels)
    count = sum(weight.numel() for weight in model.parameters())
    assert abs(count - parameters) < 0.01 * parameters
