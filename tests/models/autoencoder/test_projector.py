import torch

from pvdm_lightning.models.autoencoder.projector import ProjectionBlock


def test_the_last_projection_layer_computes_what_is_read_and_no_more():
    torch.manual_seed(0)
    block = ProjectionBlock(dim=16, heads=2, head_dim=4, mlp_dim=8)
    for weight in block.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    x = torch.randn(3, 5, 16, requires_grad=True)
    first, whole = block.at_first(x), block(x)[:, :1]
    assert torch.allclose(first, whole, atol=1e-5)
    inputs = [x, *block.parameters()]
    for ours, theirs in zip(torch.autograd.grad(first.sum(), inputs), torch.autograd.grad(whole.sum(), inputs)):
        assert torch.allclose(ours, theirs, atol=1e-5)
