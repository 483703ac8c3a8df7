import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pvdm_lightning.models.triplane import Triplane, TriplaneShape
from pvdm_lightning.models.unet.token_attention import PlaneSelfAttention, TriplaneAttention


def attention(kind):
    torch.manual_seed(0)
    module = kind(32, 2)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return module


def against_the_formula(module, x):
    """x + W_o softmax(q k / sqrt(d)) v, each head by itself, the matrix written out."""
    heads = module.to_qkv(module.norm(x).mT).mT.chunk(module.heads, dim=1)
    attended = []
    for head in heads:
        q, k, v = head.chunk(3, dim=1)
        weights = torch.einsum("bci,bcj->bij", q, k).div(q.shape[1] ** 0.5).softmax(dim=2)
        attended.append(torch.einsum("bij,bcj->bci", weights, v))
    return x + module.to_out(torch.cat(attended, dim=1).mT).mT


def test_across_planes():
    module, x = attention(TriplaneAttention), torch.randn(2, 32, 24)
    assert torch.allclose(module(x), against_the_formula(module.attention, x), atol=1e-4)


@pytest.mark.parametrize("shape", [TriplaneShape(2, 4, 4), TriplaneShape(3, 4, 2)])
def test_inside_each_plane(shape):
    module, x = attention(PlaneSelfAttention), torch.randn(2, 32, shape.num_tokens)
    apart = [against_the_formula(module.attention, p.flatten(2)) for p in Triplane.from_sequence(x, shape)]
    assert torch.allclose(module(x, shape), torch.cat(apart, dim=2), atol=1e-4)


def test_the_matrix_is_never_stored():
    """The fused kernel takes the layout we give it; where it does not, this raises."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        attention(TriplaneAttention)(torch.randn(2, 32, 24, requires_grad=True)).sum().backward()
