import pytest
import torch
from einops import rearrange

from pvdm_lightning.convert import load_autoencoder
from pvdm_lightning.models.triplane import Triplane, TriplaneShape

TOLERANCE = 1e-4


def difference(ours, recorded):
    return (ours - recorded).abs().max().item()


@pytest.fixture(scope="module")
def small(case):
    description, checkpoint, recorded = case("autoencoder_64")
    return load_autoencoder(checkpoint, frames=16, resolution=64).eval(), description, checkpoint, recorded


def test_latent_and_reconstruction_at_64(small):
    model, description, _, recorded = small
    with torch.no_grad():
        latent = model.encode(recorded["clip"])
        reconstruction = model.decode(latent)
    assert latent.shape == model.latent_shape == TriplaneShape(16, 8, 8)
    assert difference(latent.to_sequence(), recorded["latent"]) <= TOLERANCE
    assert difference(rearrange(reconstruction, "1 c s h w -> s c h w"), recorded["reconstruction"]) <= TOLERANCE


def test_decoding_the_recorded_latent(small):
    model, _, _, recorded = small
    with torch.no_grad():
        reconstruction = model.decode(Triplane.from_sequence(recorded["latent"], model.latent_shape))
    assert difference(rearrange(reconstruction, "1 c s h w -> s c h w"), recorded["reconstruction"]) <= TOLERANCE


def test_latent_and_reconstruction_at_the_papers_size(case, fill):
    description, checkpoint, recorded = case("autoencoder_base")
    model = load_autoencoder(checkpoint).eval()
    clip = fill.tensor("clip", tuple(description["clip_shape"]), description["seed"]).clamp(-2, 2) / 2
    with torch.no_grad():
        latent = model.encode(clip)
        reconstruction = model.decode(latent)
    assert latent.to_sequence().shape == (1, 4, 2048)
    assert difference(latent.to_sequence(), recorded["latent"]) <= TOLERANCE
    sampled = rearrange(reconstruction, "1 c s h w -> s c h w")[:, :, ::16, ::16]
    assert difference(sampled, recorded["reconstruction_every_16th_pixel"]) <= TOLERANCE


def test_any_prefix_is_removed(small):
    model, _, checkpoint, recorded = small
    prefixed = {f"module.first_stage_model.{key}": value for key, value in checkpoint.items()}
    again = load_autoencoder(prefixed, frames=16, resolution=64)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda sd: sd.pop("post_yt.bias"), "missing: post_yt.bias"),
        (lambda sd: sd.update(surprise=torch.zeros(1)), "not known: surprise"),
        (lambda sd: sd.update({"pre_xt.bias": torch.zeros(5)}), r"another shape: pre_xt.bias \[5\] instead of \[4\]"),
        (lambda sd: sd.pop("xt_pos_embedding"), "missing: xt_pos_embedding"),
        (lambda sd: sd.clear(), "no key ends with"),
    ],
)
def test_a_key_that_does_not_fit_is_named(small, change, named):
    state_dict = dict(small[2])
    change(state_dict)
    with pytest.raises(ValueError, match=named):
        load_autoencoder(state_dict, frames=16, resolution=64)


def test_other_frames_than_the_weights_are_named(small):
    with pytest.raises(ValueError, match=r"xy_pos_embedding \[1, 17, 64\] instead of \[1, 9, 64\]"):
        load_autoencoder(small[2], frames=8, resolution=64)
