import pytest
import torch

from pvdm_lightning.models.triplane import Triplane, TriplaneShape


def test_shape_of_the_papers_clip():
    shape = TriplaneShape.of_clip(16, 256, 256, 8)
    assert shape == TriplaneShape(frames=16, height=32, width=32)
    assert shape.planes == ((32, 32), (16, 32), (16, 32))
    assert shape.num_tokens == 2048


@pytest.mark.parametrize("shape", [TriplaneShape(16, 8, 8), TriplaneShape(6, 4, 9), TriplaneShape(1, 1, 1)])
def test_sequence_and_planes_are_inverse(shape):
    sequence = torch.randn(2, 3, shape.num_tokens)
    planes = Triplane.from_sequence(sequence, shape)
    assert planes.z_s.shape == (2, 3, shape.height, shape.width)
    assert planes.z_h.shape == (2, 3, shape.frames, shape.width)
    assert planes.z_w.shape == (2, 3, shape.frames, shape.height)
    assert planes.shape == shape
    assert torch.equal(planes.to_sequence(), sequence)


def test_order_of_the_sequence():
    shape = TriplaneShape(frames=2, height=3, width=4)
    planes = Triplane.from_sequence(torch.arange(shape.num_tokens).float()[None, None], shape)
    assert planes.z_s[0, 0, 1, 2] == 1 * 4 + 2
    assert planes.z_h[0, 0, 1, 3] == 12 + 1 * 4 + 3
    assert planes.z_w[0, 0, 1, 0] == 12 + 8 + 1 * 3


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="patches of 8 x 8"):
        TriplaneShape.of_clip(16, 60, 64, 8)
    with pytest.raises(ValueError, match="at least 1"):
        TriplaneShape(0, 4, 4)
    with pytest.raises(ValueError, match=r"\[B C 44\]"):
        Triplane.from_sequence(torch.zeros(1, 4, 43), TriplaneShape(4, 2, 6))
