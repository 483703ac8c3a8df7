"""Muon against closed forms and PyTorch's own optimizers."""

import copy

import pytest
import torch
from torch import nn

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.training.muon import Muon, orthogonalize, product_dtype
from pvdm_lightning.training.optimization import make_optimizer


def gradients(network, seed):
    draws = torch.Generator().manual_seed(seed)
    for weight in network.parameters():
        weight.grad = torch.randn(weight.shape, generator=draws)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (1, 20, 6)])
def test_orthogonalize_keeps_the_singular_vectors_and_evens_out_the_values(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    values = (u.mT @ orthogonalize(matrices) @ vh.mT).diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6 and values.max() < 1.25
    rest = u.mT @ orthogonalize(matrices) @ vh.mT - torch.diag_embed(values)
    assert rest.abs().max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e12])
def test_singular_values_in_either_precision_at_any_scale(dtype, scale):
    """Also where the singular values span two orders of magnitude, as those of gradients do."""
    draws = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(2, 96, 96, generator=draws))
    v, _ = torch.linalg.qr(torch.randn(2, 160, 96, generator=draws))
    matrices = scale * (u * torch.logspace(0, -2, 96)) @ v.mT
    values = torch.linalg.svdvals(orthogonalize(matrices, dtype=dtype))
    assert values.min() > 0.67 and values.max() < 1.22
    close = orthogonalize(matrices, dtype=torch.float32)
    assert (orthogonalize(matrices, dtype=dtype) - close).norm() < 0.05 * close.norm()


def test_products_are_in_bfloat16_on_a_gpu_that_has_it(monkeypatch):
    for fast, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, fast=fast: fast)
        assert product_dtype(torch.device("cuda")) == dtype
    assert product_dtype(torch.device("cpu")) == torch.float32
    matrices = torch.randn(1, 8, 8)
    assert torch.equal(orthogonalize(matrices), orthogonalize(matrices, dtype=torch.float32))


def test_matrices_move_as_with_the_optimizer_of_pytorch():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon to compare with")
    ours, theirs = (nn.Linear(12, 20, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    start = ours.weight.detach().clone()
    one = Muon([ours.weight], [], lr=0.01)
    two = torch.optim.Muon([theirs.weight], lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        for network, optimizer in ((ours, one), (theirs, two)):
            gradients(network, step)
            optimizer.step()
    # PyTorch's own orthogonalizes in bfloat16.
    assert (ours.weight - theirs.weight).norm() < 0.02 * (ours.weight - start).norm()


def test_the_other_parameters_move_as_with_adamw():
    ours = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7))
    theirs = copy.deepcopy(ours)
    one = Muon([], ours.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    two = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    for step in range(5):
        for network, optimizer in ((ours, one), (theirs, two)):
            gradients(network, step)
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_a_kernel_moves_as_the_matrix_of_its_flattened_inputs():
    kernel, matrix = nn.Conv2d(4, 6, 3, bias=False), nn.Linear(36, 6, bias=False)
    with torch.no_grad():
        matrix.weight.copy_(kernel.weight.flatten(1))
    gradients(kernel, 0)
    assert kernel.weight.grad is not None
    matrix.weight.grad = kernel.weight.grad.flatten(1)
    Muon([kernel.weight], []).step()
    Muon([matrix.weight], []).step()
    torch.testing.assert_close(kernel.weight.flatten(1), matrix.weight)


def test_a_restored_optimizer_goes_on_as_if_it_had_not_stopped():
    whole = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3))
    parted = copy.deepcopy(whole)

    def optimizer(network):
        return Muon([network[0].weight, network[1].weight], [network[0].bias, network[1].bias], lr=0.01)

    one, two = optimizer(whole), optimizer(parted)
    for step in range(6):
        if step == 3:
            saved = copy.deepcopy(two.state_dict())
            two = optimizer(parted)
            two.load_state_dict(saved)
        for network, of_network in ((whole, one), (parted, two)):
            gradients(network, step)
            of_network.step()
    for a, b in zip(whole.parameters(), parted.parameters()):
        assert torch.equal(a, b)


def test_vectors_are_not_muons():
    with pytest.raises(ValueError, match="two or more dimensions"):
        Muon([nn.Parameter(torch.zeros(3))], [])


@pytest.mark.parametrize(
    "network",
    [
        VideoAutoencoder(4, 16, 8, dim=32, depth=1, heads=2, head_dim=16, projector_depth=1, projector_mlp_dim=32),
        TriplaneUNet(base_channels=32, channel_multipliers=(1, 2), heads=2, blocks_per_level=1),
    ],
)
def test_each_parameter_is_trained_once_and_edges_by_adamw(network):
    optimizer = make_optimizer("muon", network, 1e-3)
    hidden, others = (group["params"] for group in optimizer.param_groups)
    assert len({id(p) for p in hidden + others}) == len(hidden + others) == len(list(network.parameters()))
    names = {id(p): name for name, p in network.named_parameters()}
    by_adamw = {names[id(p)] for p in others if p.dim() > 1}
    expected = (
        {"encoder.embed.weight", "decoder.to_pixels.weight"}
        | {f"projector.over_time.{name}" for name in ("to_latent.weight", "token", "positions")}
        if isinstance(network, VideoAutoencoder)
        else {"stem.weight", "head_conv.weight", "embed_time.0.weight"}
    )
    assert expected <= by_adamw
    assert not any("blocks" in name for name in by_adamw) and len(hidden) > len(by_adamw)
