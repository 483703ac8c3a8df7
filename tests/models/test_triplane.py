import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pvdm_lightning.models.triplane import RowLayout, Triplane, TriplaneShape

LAYOUTS = st.builds(
    RowLayout, st.integers(1, 3), st.builds(TriplaneShape, st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
)


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


@settings(max_examples=30, deadline=None)
@given(LAYOUTS, st.booleans())
def test_rows_are_images_tokens_and_sequences(layout, join):
    sequence = torch.randn(layout.batch, 3, layout.shape.num_tokens)
    planes = Triplane.from_sequence(sequence, layout.shape)
    rows = layout.from_sequence(sequence)
    images = layout.images(rows, join)
    assert len(images) == (2 if join and layout.joins else 3)
    for image, plane in zip(layout.images(rows, join=False), planes, strict=True):
        assert torch.equal(image, plane)
    for image in images:
        assert image.is_contiguous(memory_format=torch.channels_last) and image.data_ptr() >= rows.data_ptr()
        assert image.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()
    assert torch.equal(layout.rows(images), rows)
    assert torch.equal(layout.tokens(rows), sequence.mT)
    assert torch.equal(layout.to_sequence(rows), sequence)


@settings(max_examples=15, deadline=None)
@given(LAYOUTS, st.sampled_from(["images", "tokens", "shared tokens"]), st.booleans())
def test_additions_to_rows(layout, kind, join):
    rows = torch.randn(layout.batch * layout.shape.num_tokens, 2, dtype=torch.float64, requires_grad=True)
    other = torch.randn_like(rows).requires_grad_()
    if kind == "images":

        def add(rows, other):
            return layout.add_images(rows, layout.images(other, join))

        expected = rows + other
    else:
        tokens = layout.tokens(other) if kind == "tokens" else layout.tokens(other)[:1]
        other = tokens[0].detach().requires_grad_() if kind == "shared tokens" else tokens.detach().requires_grad_()
        add = layout.add_tokens
        whole = other.expand(layout.batch, -1, -1)
        expected = rows + layout.from_sequence(whole.mT)
    assert torch.equal(add(rows, other), expected)
    assert torch.autograd.gradcheck(add, (rows, other))


def test_additions_follow_type_promotion():
    layout = RowLayout(2, TriplaneShape(2, 3, 2))
    rows = torch.randn(2 * 16, 4, dtype=torch.bfloat16, requires_grad=True)
    tokens = torch.randn(2, 16, 4, requires_grad=True)
    added = layout.add_tokens(rows, tokens)
    assert added.dtype == torch.float32
    added.sum().backward()
    assert rows.grad.dtype == torch.bfloat16 and tokens.grad.dtype == torch.float32


def test_a_volume_is_projected_along_each_axis():
    shape = TriplaneShape(4, 2, 3)
    volume = torch.randn(2, 5, 4, 2, 3)
    planes = Triplane.from_sequence(shape.project(volume), shape)
    for plane, axis in zip(planes, (2, 3, 4)):
        torch.testing.assert_close(plane, volume.mean(axis))
    per_frame = volume[..., :1, :1]
    torch.testing.assert_close(shape.project(per_frame), shape.project(per_frame.expand(-1, -1, -1, 2, 3)))
    pixels = volume.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
    torch.testing.assert_close(shape.project(pixels), shape.project(volume))
