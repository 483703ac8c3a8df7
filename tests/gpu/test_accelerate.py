"""Networks with the modules for a GPU: values, memory formats, copies and precision, all of which a CPU shows."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.models.unet.plane_layers import PlaneConv2d

SHAPES = [TriplaneShape(4, 8, 8), TriplaneShape(4, 8, 12), TriplaneShape(3, 5, 6)]
COPIES = {"clone", "copy_", "_to_copy", "contiguous", "cat"}


def unet(shape, **more):
    torch.manual_seed(0)
    network = TriplaneUNet(shape, base_channels=32, channel_multipliers=(1, 2), heads=2, norm_groups=8, **more)
    for weight in network.parameters():  # what starts at zero would hide the paths behind it
        if weight.dim() > 1 and not weight.any():
            nn.init.normal_(weight, std=0.05)
    return network


def call(network, shape, dtype=torch.float32):
    z = torch.randn(2, 4, shape.num_tokens, generator=torch.Generator().manual_seed(0)).to(dtype)
    return network(z, torch.tensor([10, 900]), Condition(z))


@pytest.mark.parametrize("shape", SHAPES)
def test_values_gradients_and_keys_are_those_of_the_plain_network(shape):
    plain = unet(shape, position_embedding=True, axis_pooling=True)
    fast = copy.deepcopy(plain)
    assert accelerate(fast) is fast and list(fast.state_dict()) == list(plain.state_dict())
    assert {type(module) for module in fast.modules()} != {type(module) for module in plain.modules()}
    outputs = [call(network, shape) for network in (plain, fast)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


class Recorder(TorchDispatchMode):
    """Names of operators in order, with a mark at each convolution's input."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("training", [True, False])
def test_every_convolution_gets_channels_last_images_and_nothing_is_copied_between_two(training):
    shape = SHAPES[0]
    network = accelerate(unet(shape).train(training)).to(torch.bfloat16)
    formats = []

    def look(module, inputs):
        formats.extend(image.is_contiguous(memory_format=torch.channels_last) for image in inputs[0])

    convolutions = [module for module in network.modules() if isinstance(module, PlaneConv2d)]
    for module in convolutions:
        module.register_forward_pre_hook(look)
    with Recorder() as recorder, torch.set_grad_enabled(training):
        call(network, shape, torch.bfloat16)
    assert len(formats) == 2 * len(convolutions) and all(formats)
    blocks = [module for module in network.modules() if hasattr(module, "out_conv")]
    # From the first convolution of a block to its last: norm, modulation and SiLU are one operator.
    places = [i for i, name in enumerate(recorder.names) if name == "convolution"]
    stem, head = 2, 2
    assert len(places) == 4 * len(blocks) + stem + head
    for block in range(len(blocks)):
        first, last = places[stem + 4 * block], places[stem + 4 * block + 3]
        between = Counter(recorder.names[first : last + 1])
        assert not between.keys() & COPIES, between
        assert between["group_norm"] == 1


def test_no_activation_leaves_a_norm_in_float32_under_bf16():
    shape, seen = SHAPES[0], []
    network = accelerate(unet(shape, axis_pooling=True)).to(torch.bfloat16)

    def look(module, inputs, outputs):
        seen.extend(x.dtype for x in (outputs if isinstance(outputs, list | tuple) else [outputs]))

    for name, module in network.named_modules():
        if name and "head_" not in name:
            module.register_forward_hook(look)
    call(network, shape, torch.bfloat16)
    assert set(seen) == {torch.bfloat16}


def test_a_compiled_and_an_exported_network_have_the_same_values():
    shape = SHAPES[0]
    network = accelerate(unet(shape)).eval()
    z, t = torch.randn(2, 4, shape.num_tokens), torch.tensor([10, 900])
    with torch.no_grad():
        expected = network(z, t, Condition(z))
        exported = torch.export.export(network, (z, t, Condition(z)), strict=False).module()
        torch.testing.assert_close(exported(z, t, Condition(z)), expected)
