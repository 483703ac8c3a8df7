"""Accelerated networks are the plain ones, up to rounding."""

import copy

import pytest
import torch
from torch import nn

from pvdm_lightning.cpu import convolution, flash_attention, linear, onednn, processor, winograd
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.condition import Condition
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet

SHAPE = TriplaneShape(4, 4, 6)


def autoencoder():
    return VideoAutoencoder(4, (16, 24), patch=4, dim=32, depth=1, heads=2, head_dim=8, projector_mlp_dim=32)


def unet():
    return TriplaneUNet(SHAPE, base_channels=32, channel_multipliers=(1, 4), blocks_per_level=1, heads=2)


def call(network):
    draws = torch.Generator().manual_seed(0)
    if isinstance(network, TriplaneUNet):
        z = torch.randn(2, 4, SHAPE.num_tokens, generator=draws)
        return network(z, torch.tensor([10, 900]), Condition(z))
    return network(torch.rand(2, 3, *network.clip_shape, generator=draws) * 2 - 1)


@pytest.fixture
def always(monkeypatch):
    """All kernels, whatever the sizes and the processor."""
    monkeypatch.setattr(onednn, "uses_onednn", lambda: not torch.cpu._is_amx_tile_supported())
    monkeypatch.setattr(linear, "MIN_WORK", 1)
    monkeypatch.setattr(flash_attention, "MIN_TOKENS", 1)
    for name in ("WINOGRAD_MIN_CHANNELS", "WINOGRAD_MIN_POSITIONS", "WINOGRAD_MIN_SIZE"):
        monkeypatch.setattr(convolution, name, 1)


@pytest.mark.parametrize("build", [autoencoder, unet])
def test_values_gradients_and_keys_are_those_of_the_plain_network(build, always):
    torch.manual_seed(0)
    plain = build()
    for weight in plain.parameters():  # what starts at zero would hide the paths behind it
        if weight.dim() > 1 and not weight.any():
            nn.init.normal_(weight, std=0.05)
    fast = copy.deepcopy(plain)
    parameters = list(fast.parameters())
    assert accelerate(fast) is fast
    assert all(one is other for one, other in zip(parameters, fast.parameters(), strict=True))
    assert list(fast.state_dict()) == list(plain.state_dict())
    outputs = [call(network) for network in (plain, fast)]
    assert torch.allclose(*outputs, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    largest = max(weight.grad.abs().max() for weight in plain.parameters() if weight.grad is not None)
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        if one.grad is not None:  # some are zero but for rounding: biases that a norm takes away
            assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5 * float(largest)), name


def test_every_kernel_is_reached(always, monkeypatch):
    reached = set()
    for module, name in ((linear, "_product"), (flash_attention, "_attention"), (winograd, "_convolution")):
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, name=name, kernel=kernel: reached.add(name) or kernel(*args))
    accelerate(unet())
    call(accelerate(unet()))
    expected = {"_convolution"} if torch.cpu._is_amx_tile_supported() else {"_convolution", "_product", "_attention"}
    assert reached == expected


@pytest.mark.parametrize(
    ("vendor", "capability", "amx", "expected"),
    [
        ("AuthenticAMD", "AVX512", False, True),
        ("AuthenticAMD", "AVX2", False, False),
        ("AuthenticAMD", "AVX512", True, False),
        ("GenuineIntel", "AVX512", False, False),
        ("", "DEFAULT", False, False),
    ],
)
def test_the_library_follows_from_the_processor_alone(monkeypatch, vendor, capability, amx, expected):
    monkeypatch.setattr(processor, "vendor", lambda: vendor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert processor.uses_onednn() is expected


@pytest.mark.skipif(not processor.uses_onednn(), reason="this processor does not use oneDNN")
def test_onednn_is_exact_where_it_is_used():
    """It is only asked for what it may round, and must not."""
    draws = torch.Generator().manual_seed(0)
    a, b = torch.randn(256, 2048, generator=draws), torch.randn(2048, 64, generator=draws)
    product = linear.multiply_add(a, b, torch.zeros(1))
    # Sums of 2048 products of normal numbers: float32 is off by some 1e-4, bfloat16 by some 1e-1.
    assert (product - a.double() @ b.double()).abs().max() < 2e-3
