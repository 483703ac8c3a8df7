import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from pvdm_lightning.models.triplane import RowLayout, Triplane, TriplaneShape
from pvdm_lightning.models.unet.token_attention import PlaneSelfAttention, TriplaneAttention

SHAPES = [TriplaneShape(2, 4, 4), TriplaneShape(3, 4, 2)]


def attention(kind):
    torch.manual_seed(0)
    module = kind(32, 2)
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return module


def against_the_formula(module, x):
    """x + W_o softmax(q k / sqrt(d)) v, each head by itself, the matrix written out."""
    normed = F.group_norm(x, module.norm.num_groups, module.norm.weight, module.norm.bias)
    heads = module.to_qkv(normed.mT).mT.chunk(module.heads, dim=1)
    attended = []
    for head in heads:
        q, k, v = head.chunk(3, dim=1)
        weights = torch.einsum("bci,bcj->bij", q, k).div(q.shape[1] ** 0.5).softmax(dim=2)
        attended.append(torch.einsum("bij,bcj->bci", weights, v))
    return x + module.to_out(torch.cat(attended, dim=1).mT).mT


def on_sequences(module, x, shape):
    layout = RowLayout(len(x), shape)
    return layout.to_sequence(module(layout.from_sequence(x), layout))


@pytest.mark.parametrize("shape", SHAPES)
def test_across_planes(shape):
    module, x = attention(TriplaneAttention), torch.randn(2, 32, shape.num_tokens)
    assert torch.allclose(on_sequences(module, x, shape), against_the_formula(module.attention, x), atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_inside_each_plane(shape):
    module, x = attention(PlaneSelfAttention), torch.randn(2, 32, shape.num_tokens)
    apart = [against_the_formula(module.attention, p.flatten(2)) for p in Triplane.from_sequence(x, shape)]
    assert torch.allclose(on_sequences(module, x, shape), torch.cat(apart, dim=2), atol=1e-4)


def test_the_matrix_is_never_stored():
    """The fused kernel takes the layout we give it; where it does not, this raises."""
    shape = SHAPES[0]
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        x = torch.randn(2, 32, shape.num_tokens, requires_grad=True)
        on_sequences(attention(TriplaneAttention), x, shape).sum().backward()
        on_sequences(attention(PlaneSelfAttention), x, shape).sum().backward()
