from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder.space_time_transformer import SpaceTimeTransformer
from pvdm_lightning.models.gradient_checkpointing import checkpointed

KINDS = (False, "selective", True)


def transformer(kind):
    return SpaceTimeTransformer(dim=32, depth=4, heads=2, head_dim=16, gradient_checkpointing=kind)


def test_selective_repeats_no_product_and_keeps_less():
    from benchmarks.counting import training_peak

    def peak(kind):
        def build():
            network, volume = transformer(kind), torch.randn(4, 2, 8, 8, 32)
            return [network], lambda: network(volume).sum()

        return training_peak(build)

    def flops(kind):
        network = transformer(kind)
        with FlopCounterMode(display=False) as counter:
            network(torch.randn(4, 2, 8, 8, 32)).sum().backward()
        return counter.get_total_flops()

    plain, selective, full = map(flops, KINDS)
    assert plain == selective < full
    plain, selective, full = map(peak, KINDS)
    assert full < 0.7 * selective and selective < 0.8 * plain


def test_products_of_our_own_kernels_are_kept(monkeypatch):
    from pvdm_lightning.cpu import linear

    products = []
    monkeypatch.setattr(linear, "MIN_WORK", 0)
    monkeypatch.setattr(linear, "takes_onednn", lambda *_: True)
    monkeypatch.setattr(linear, "through_onednn", lambda: nullcontext(products.append(1)))
    repeated = []
    layer = accelerate(nn.Sequential(nn.Linear(8, 8)))

    def block(x):
        repeated.append(1)
        return layer(x.sin()).cos()

    checkpointed(block, torch.randn(4, 8, requires_grad=True), kind="selective").sum().backward()
    assert len(repeated) == 2 and len(products) == 3  # once forward, and the two gradients


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_repeated_in_evaluation(kind):
    network = transformer(kind).eval()
    called = []
    network.blocks[0].register_forward_hook(lambda *_: called.append(1))
    network(torch.randn(2, 1, 2, 2, 32)).sum().backward()
    assert len(called) == 1
