import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.training import LatentEncoder
from small_latents import autoencoder, batches_in_pixels_and_latents, latent_diffusion


@pytest.fixture
def module():
    return latent_diffusion()


@pytest.fixture
def batches(module):
    return batches_in_pixels_and_latents(module)


def test_the_encoder_makes_both_orientations(batches):
    encoder = LatentEncoder(autoencoder())
    encoder.flips = True
    pixels, latents = batches
    numbers = {name: torch.arange(8) for name in ("label", "index", "start")}
    batch = {**pixels, **numbers, "split": "train", "shard": 0, "is_last": True, "failures": {}}
    rows = encoder.predict_step(batch, 0)
    assert rows["flipped"].tolist() == [False] * 8 + [True] * 8
    assert rows["index"].tolist() == [*range(8), *range(8)]
    assert torch.allclose(rows["clip"][:8], latents["clip"], atol=1e-5)
    assert torch.allclose(rows["clip"][8:], encoder.frozen.encode(pixels["clip"].flip(-1)), atol=1e-5)
    has = pixels["has_previous"]
    assert torch.allclose(rows["previous"][:7], latents["previous"][has], atol=1e-5)
    assert torch.allclose(rows["previous"][7:], encoder.frozen.encode(pixels["previous"][has].flip(-1)), atol=1e-5)
    assert not encoder.predict_step({**batch, "split": "val"}, 0)["flipped"].any()


def test_the_encoder_fills_unknown_frames(batches):
    encoder = LatentEncoder(autoencoder())
    encoder.encode_with(True, ["last:1", "all", "every:3"], None)
    pixels, _ = batches
    numbers = {name: torch.arange(8) for name in ("label", "index", "start")}
    rows = encoder.predict_step({**pixels, **numbers, "split": "train", "shard": 0, "is_last": True, "failures": {}}, 0)
    clip, last, ends = pixels["clip"], pixels["clip"][:, :, 3:], pixels["clip"][:, :, [0, 0, 3, 3]]
    for place, mirrored in enumerate((False, True)):
        for mask, filled in enumerate((last.expand_as(clip), clip, ends)):
            expected = encoder.frozen.encode(filled.flip(-1) if mirrored else filled)
            assert torch.allclose(rows["known"][8 * place : 8 * place + 8, mask], expected, atol=1e-5)
    assert torch.equal(rows["known"][:, 1], rows["clip"])
    assert encoder.known_masks.tolist() == [[False] * 3 + [True], [True] * 4, [True, False, False, True]]


@pytest.mark.parametrize(
    ("known_frames", "message"),
    [
        (["first:5"], "first:5: is beyond the 4 frames of a clip. Give first:4 at most."),
        (["first:1", "none"], "none: has no known frame to store. Leave it out."),
        (["first:4", "all"], "all: are the same frames as first:4. Leave one of them out."),
    ],
)
def test_known_frames_that_cannot_be_stored(known_frames, message):
    with pytest.raises(InvalidArgumentError) as caught:
        LatentEncoder(autoencoder()).encode_with(False, known_frames, None)
    assert str(caught.value) == f"CacheOptions.known_frames {message}"


def test_a_batch_of_which_nothing_could_be_read_has_no_rows():
    encoder = LatentEncoder(autoencoder())
    empty = encoder.predict_step({"split": "train", "shard": 0, "is_last": True, "failures": {}}, 0)
    assert {name: list(value.shape) for name, value in empty.items() if value.dim() > 1} == {
        "clip": [0, 4, 20],
        "previous": [0, 4, 20],
    }
    encoder.encode_with(False, ["first:1", "ends:1"], None)
    empty = encoder.predict_step({"split": "train", "shard": 0, "is_last": True, "failures": {}}, 0)
    assert empty["known"].shape == (0, 2, 4, 20)
