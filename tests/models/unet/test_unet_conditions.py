"""What the U-Net is conditioned on beside the clip before: classes, known frames, a context."""

import itertools

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.condition import Condition, KnownFrames
from pvdm_lightning.models.triplane import Triplane, TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.models.unet.unet import mask_channel

SHAPE, BATCH = TriplaneShape(4, 4, 6), 2
SIZES = {"base_channels": 16, "channel_multipliers": (1, 2), "blocks_per_level": 1, "heads": 2, "norm_groups": 8}
OPTIONS = {"label": {"num_classes": 3}, "known": {"known_frames": True}, "context": {"context_channels": 5}}
SUBSETS = [names for count in range(4) for names in itertools.combinations(OPTIONS, count)]


def unet(names):
    torch.manual_seed(0)
    network = TriplaneUNet(SHAPE, **SIZES, **{key: value for name in names for key, value in OPTIONS[name].items()})
    start_with_noise(network)
    return network


def start_with_noise(network):
    for weight in network.parameters():  # what starts at zero would hide the paths behind it
        if weight.dim() > 1 and not weight.any():
            torch.nn.init.normal_(weight, std=0.2)


def parts(names):
    latent = torch.randn(BATCH, 4, SHAPE.num_tokens)
    every = {
        "previous": torch.randn_like(latent),
        "known": KnownFrames(latent, torch.tensor([[True, False, True, False], [False, True, True, True]])),
        "label": torch.tensor([0, 2]),
        "context": torch.randn(BATCH, 3, 5),
    }
    return Condition(**{name: every[name] for name in ("previous", *names)})


@pytest.mark.parametrize("names", SUBSETS)
def test_an_absent_part_and_one_without_a_condition_are_alike(names):
    network, given = unet(names), parts(names)
    z, t = torch.randn(BATCH, 4, SHAPE.num_tokens), torch.tensor([3, 500])
    assert network.conditions == tuple(
        name for name in ("previous", "known", "label", "context") if name in ("previous", *names)
    )
    with torch.no_grad():
        full, none = network(z, t, given), network(z, t)
        torch.testing.assert_close(network(z, t, given.no_condition()), none)
        for name in given.given:
            without = network(z, t, given.without(name))
            assert not torch.allclose(full, without, atol=1e-4), name
            kept = torch.tensor([True, False])
            half = network(z, t, given.keep({name: kept}))
            torch.testing.assert_close(half[0], full[0])
            torch.testing.assert_close(half[1], without[1])


@pytest.mark.parametrize("names", SUBSETS)
def test_every_weight_gets_a_gradient(names):
    network = unet(names)
    network(torch.randn(BATCH, 4, SHAPE.num_tokens), torch.tensor([3, 500]), parts(names)).square().mean().backward()
    lacking = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert lacking == []


def test_the_papers_network_is_the_one_without():
    plain = unet(())
    for names in SUBSETS:
        more = unet(names)
        assert set(plain.state_dict()) <= set(more.state_dict())
        assert (set(plain.state_dict()) == set(more.state_dict())) == (set(names) <= {"known"})


def test_a_part_that_the_network_was_not_built_for():
    network, z, t = unet(()), torch.randn(BATCH, 4, SHAPE.num_tokens), torch.tensor([3, 500])
    for name in OPTIONS:
        with pytest.raises(ValueError, match=f"is conditioned on previous, not on {name}"):
            network(z, t, parts((name,)))
    with pytest.raises(InvalidArgumentError, match=r"TriplaneUNet.num_classes -1"):
        TriplaneUNet(num_classes=-1)


def test_the_mask_of_known_frames_lies_along_time():
    mask = torch.tensor([[True, False, False, True]])
    z_s, z_h, z_w = Triplane.from_sequence(mask_channel(mask, SHAPE), SHAPE)
    assert (z_s == 0.5).all()
    for plane in (z_h, z_w):
        assert torch.equal(plane, mask.float()[:, None, :, None].expand_as(plane))


class OwnParts(TriplaneUNet):
    """Takes the speed of a clip and the depth of its frames."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.conditions = (*self.conditions, "speed", "depth")
        self.embed_speed = torch.nn.Linear(1, 4 * self.base_channels, bias=False)
        self.embed_depth = torch.nn.Conv1d(1, self.base_channels, 1, bias=False)

    def embed(self, t, condition, dtype):
        time = super().embed(t, condition, dtype)
        return time + self.embed_speed(condition.extra["speed"]) if "speed" in condition.extra else time

    def embed_tokens(self, condition):
        if "depth" not in condition.extra:
            return None
        return self.embed_depth(self.latent_shape.project(condition.extra["depth"])).transpose(1, 2)


def test_a_subclass_takes_parts_of_its_own():
    torch.manual_seed(0)
    network = OwnParts(SHAPE, **SIZES)
    start_with_noise(network)
    z, t = torch.randn(BATCH, 4, SHAPE.num_tokens), torch.tensor([3, 500])
    given = Condition(extra={"speed": torch.randn(BATCH, 1), "depth": torch.randn(BATCH, 1, 4, 16, 24)})
    full, none = network(z, t, given), network(z, t)
    torch.testing.assert_close(network(z, t, given.no_condition()), none)
    for name in given.given:
        assert not torch.allclose(network(z, t, given.without(name)), full, atol=1e-4), name
    with pytest.raises(ValueError, match="not on height"):
        network(z, t, Condition(extra={"height": torch.ones(BATCH, 1)}))
    full.square().sum().backward()
    assert network.embed_speed.weight.grad.any() and network.embed_depth.weight.grad.any()
