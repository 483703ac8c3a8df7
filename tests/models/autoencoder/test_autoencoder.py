import pytest
import torch
from einops import rearrange

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.triplane import Triplane, TriplaneShape


@pytest.mark.parametrize(
    ("frames", "resolution", "patch"), [(4, 16, 8), (6, (16, 24), 8), (2, (12, 4), 4), (5, 8, 8), (16, (10, 15), 5)]
)
def test_any_sizes(small, frames, resolution, patch):
    model = small(frames, resolution, patch)
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    clip = torch.rand(2, 3, frames, height, width) * 2 - 1
    latent = model.encode(clip)
    assert latent.shape == model.latent_shape == TriplaneShape(frames, height // patch, width // patch)
    reconstruction = model.decode(latent)
    assert reconstruction.shape == clip.shape
    for values in (*latent, reconstruction):
        assert values.abs().max() <= 1


@pytest.mark.parametrize(("resolution", "patch"), [(16, 8), ((16, 24), 8), ((12, 4), 4), (8, 8), ((2, 6), 2)])
def test_patches_that_overlap_are_added_up_as_a_transposed_convolution_does(small, resolution, patch):
    decoder = small(resolution=resolution, patch=patch, overlapping_output=True).decoder
    rows, columns = (side // patch for side in (resolution if isinstance(resolution, tuple) else (resolution,) * 2))
    features = torch.randn(4, 2, rows, columns, 32)
    frames = decoder._frames(features)
    expected = decoder.to_pixels(rearrange(features, "s b h w d -> (b s) d h w"))
    torch.testing.assert_close(rearrange(frames, "b c s h w -> (b s) c h w"), expected, atol=1e-4, rtol=1e-4)
    # What a patch draws ends half a patch beyond it.
    features[:, :, 0, 0] += 1
    changed = (decoder._frames(features) != frames).any(dim=0).any(dim=0).any(dim=0)
    reach = patch + patch // 2
    assert changed[:reach, :reach].all() and changed.sum() == changed[:reach, :reach].numel()


def test_an_odd_patch_has_no_half_to_overlap_by(small):
    with pytest.raises(InvalidArgumentError, match=r"VideoAutoencoder\.patch 5: is odd"):
        small(4, 10, 5, overlapping_output=True)


def test_motion_planes_of_zero_mean_leave_the_shared_part_to_the_content_plane(small):
    plain, zero_mean = small(), small(zero_mean_motion=True)
    zero_mean.load_state_dict(plain.state_dict())
    clip = torch.rand(2, 3, 4, 16, 24) * 2 - 1
    before, after = plain.encode(clip), zero_mean.encode(clip)
    assert torch.equal(before.z_s, after.z_s)
    for old, new in ((before.z_h, after.z_h), (before.z_w, after.z_w)):
        assert new.mean(dim=(2, 3)).abs().max() < 1e-6
        torch.testing.assert_close(new, old - old.mean(dim=(2, 3), keepdim=True))
        assert old.mean(dim=(2, 3)).abs().min() > 1e-4


def test_gradients_reach_all_three_planes_and_every_weight(small):
    model = small()
    latent = Triplane(*(plane.detach().requires_grad_() for plane in model.encode(torch.rand(1, 3, 4, 16, 24))))
    model.decode(latent).square().mean().backward()
    for plane in latent:
        assert plane.grad.abs().min() > 0
    model.zero_grad()
    model(torch.rand(1, 3, 4, 16, 24)).square().mean().backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unused == []


def test_broadcast_and_sum_against_a_loop(small):
    decoder = small().decoder
    latent = Triplane.from_sequence(torch.randn(1, 4, TriplaneShape(4, 2, 3).num_tokens), TriplaneShape(4, 2, 3))
    volume = decoder.volume(latent)
    s_plane, h_plane, w_plane = decoder.from_s(latent.z_s), decoder.from_h(latent.z_h), decoder.from_w(latent.z_w)
    for s in range(4):
        for h in range(2):
            for w in range(3):
                expected = s_plane[:, :, h, w] + h_plane[:, :, s, w] + w_plane[:, :, s, h]
                assert torch.allclose(volume[s, :, h, w], expected, atol=1e-6)


def test_each_plane_projects_its_own_axis(small):
    """z^s does not keep time: its encoder sees one set of features a position; the same for the other two."""
    projector = small(frames=4, resolution=(16, 24)).projector
    features = torch.randn(4, 1, 2, 3, 32)
    changed = features.clone()
    changed[1, :, 0, 2] += torch.randn(32)  # frame 1, row 0, column 2
    with torch.no_grad():
        before, after = projector(features), projector(changed)
    for plane, row, column in (("z_s", 0, 2), ("z_h", 1, 2), ("z_w", 1, 0)):
        difference = (getattr(after, plane) - getattr(before, plane)).abs().amax(dim=(0, 1))
        assert difference[row, column] > 0
        difference[row, column] = 0
        assert difference.max() == 0


def test_checkpointing_changes_nothing_but_memory(small):
    clip = torch.rand(1, 3, 4, 16, 24)
    gradients = []
    for gradient_checkpointing in (False, True, "selective"):
        model = small(gradient_checkpointing=gradient_checkpointing)
        model(clip).square().mean().backward()
        gradients.append([weight.grad for weight in model.parameters()])
    for plain, *recomputed in zip(*gradients, strict=True):
        assert all(torch.allclose(plain, again, atol=1e-7) for again in recomputed)


def test_a_batch_is_its_clips(small):
    model = small()
    clips = torch.rand(3, 3, 4, 16, 24)
    with torch.no_grad():
        together, apart = model(clips), torch.cat([model(clip[None]) for clip in clips])
    assert torch.allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"resolution": 100}, r"VideoAutoencoder.resolution 100 x 100: 100 is not divisible by the patch of 8"),
        ({"resolution": (64, 60)}, "60 is not divisible by the patch of 8 pixels. Give a multiple of 8, such as 64"),
        ({"frames": 0}, "VideoAutoencoder.frames 0: is not positive"),
        ({"head_dim": 6}, "VideoAutoencoder.head_dim 6: is not a multiple of 4"),
        ({"gradient_checkpointing": "some"}, "gradient_checkpointing some: is none of true, false and selective"),
        ({"dim": 30}, "VideoAutoencoder.dim 30: is not a multiple of 8"),
    ],
)
def test_wrong_sizes_are_refused_with_a_remedy(small, sizes, message):
    with pytest.raises(InvalidArgumentError, match=message):
        small(**sizes)


def test_inputs_of_another_size_are_refused(small):
    model = small()
    with pytest.raises(ValueError, match=r"takes clips \[B 3 4 16 24\], got \[1, 3, 8, 16, 24\]"):
        model.encode(torch.zeros(1, 3, 8, 16, 24))
    with pytest.raises(ValueError, match="decodes latents of"):
        model.decode(Triplane.from_sequence(torch.zeros(1, 4, 32), TriplaneShape(4, 2, 4)))
