import torch

from pvdm_lightning.models.triplane import RowLayout, TriplaneShape
from pvdm_lightning.models.unet.residual_block import ResidualBlock, downsample, timestep_embedding, upsample


def test_halving_and_doubling_odd_sides():
    x = torch.arange(15.0).view(1, 1, 3, 5)
    half = downsample(x)
    assert half.shape == (1, 1, 2, 3)
    assert half[0, 0, 0, 0] == x[0, 0, :2, :2].mean()
    assert half[0, 0, 1, 2] == x[0, 0, 2, 4]
    assert upsample(half, (3, 5)).shape == x.shape
    assert upsample(half, (3, 5))[0, 0, 2, 4] == x[0, 0, 2, 4]


def test_timestep_embedding():
    embedding = timestep_embedding(torch.tensor([0, 10]), 6)
    frequencies = torch.tensor([1.0, 10000 ** (-1 / 3), 10000 ** (-2 / 3)])
    assert torch.allclose(embedding[1, :3], (10 * frequencies).cos(), atol=1e-5)
    assert torch.allclose(embedding[1, 3:], (10 * frequencies).sin(), atol=1e-5)
    assert embedding[0].tolist() == [1, 1, 1, 0, 0, 0]


def test_a_residual_block_starts_as_its_skip():
    block, layout = ResidualBlock(32, 32, 8), RowLayout(1, TriplaneShape(2, 4, 4))
    x = torch.randn(layout.shape.num_tokens, 32)
    assert torch.equal(block(x, torch.randn(1, 8), layout, layout), x)
