"""Latents in place of pixels: the same targets, conditions and losses on the same draws."""

from types import SimpleNamespace

import pytest
import torch
from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.random import make_generator
from pvdm_lightning.training import LatentDiffusionModule, LatentEncoder
from pvdm_lightning.training.batches import draw_pairs
from pvdm_lightning.training.start_checks import check_latents_match, check_pixels


def autoencoder(seed=0, **how):
    torch.manual_seed(seed)
    sizes = {"dim": 32, "depth": 1, "heads": 2, "head_dim": 16, "projector_depth": 1, "projector_mlp_dim": 32}
    return VideoAutoencoder(4, 16, 8, **{**sizes, **how})


@pytest.fixture
def module():
    unet = TriplaneUNet(base_channels=32, channel_multipliers=(1,), blocks_per_level=1, heads=2)
    module = LatentDiffusionModule(unet, conditional_probability=0.5)
    module.attach_first_stage(FrozenAutoencoder(autoencoder()))
    for parameter in module.ema.network.parameters():  # the last layer starts at zero, and any input would do
        torch.nn.init.normal_(parameter, std=0.1)
    return module


@pytest.fixture
def batches(module):
    """The same eight samples in pixels, and as a cache gives them."""
    generator = torch.Generator().manual_seed(0)
    clip, previous = torch.randint(256, (2, 8, 3, 4, 16, 16), dtype=torch.uint8, generator=generator)
    has_previous = torch.tensor([True, False] + [True] * 6)
    previous[1] = 0
    about = {"has_previous": has_previous, "index": torch.arange(8)}
    pixels = {"clip": clip, "previous": previous, **about}
    encode = module.first_stage.encode
    latents = {"clip": encode(clip), "previous": encode(previous), **about}
    latents["previous"][1] = 0
    return pixels, latents


def test_targets_and_conditions(module, batches):
    both = set()
    for key in range(6):
        from_pixels, from_latents = (
            draw_pairs(batch, module.conditional_probability, module.pipeline.to_latent, make_generator(key))
            for batch in batches
        )
        for one, other in zip(from_pixels, from_latents):
            assert one.dtype == other.dtype
            assert torch.allclose(one, other, atol=1e-5)
        both |= {bool(condition.any()) for condition in from_latents[1]}
    assert both == {True, False}


def test_losses_in_validation(module, batches, monkeypatch):
    """From pixels, from latents, and in any batches: the same."""
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    def losses(*parts):
        logged = {}
        monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
        module.on_validation_epoch_start()
        for part in parts:
            module.validation_step(part, 3)
        module.on_validation_epoch_end()
        return logged

    pixels, latents = batches
    whole = losses(pixels)
    assert whole.keys() == {"val/loss", "val/loss_next_clip"}
    assert losses(latents) == pytest.approx(whole, rel=1e-4)
    halves = [{name: value[part] for name, value in latents.items()} for part in (slice(5, 8), slice(0, 5))]
    assert losses(*halves) == pytest.approx(whole, rel=1e-4)
    assert module.num_evaluated == {"loss": 8, "loss_next_clip": 7}
    assert losses({name: value[1:2] for name, value in latents.items()}).keys() == {"val/loss"}


def test_a_long_batch_is_encoded_in_parts(module, batches, monkeypatch):
    frozen, clip = module.first_stage, batches[0]["clip"]
    whole, sizes, encode = frozen.encode(clip), [], frozen.autoencoder.encode
    monkeypatch.setattr("pvdm_lightning.pipeline.first_stage.PATCHES_AT_ONCE", 3 * 16)  # a clip has 16
    monkeypatch.setattr(frozen.autoencoder, "encode", lambda some: sizes.append(len(some)) or encode(some))
    assert torch.allclose(frozen.encode(clip), whole, atol=1e-6)
    assert sizes == [3, 3, 2]


def test_what_the_host_reads_stays_on_the_host(module, batches):
    moved = module.transfer_batch_to_device(batches[0], torch.device("meta"), 0)
    assert {name: value.device.type for name, value in moved.items()} == {
        "clip": "meta",
        "previous": "meta",
        "has_previous": "cpu",
        "index": "cpu",
    }


def test_what_is_called_real_is_real(module, batches):
    pixels, latents = (module.sample_for_logging(batch, 1) for batch in batches)
    assert set(pixels["clips"]) == {"held-out clip"}
    assert torch.equal(pixels["clips"]["held-out clip"], batches[0]["clip"][:1])
    assert set(latents["clips"]) == {"decoded latent of a held-out clip"}
    (decoded,) = latents["clips"].values()
    assert torch.equal(decoded, module.first_stage.decode(batches[1]["clip"][:1]))
    assert all(torch.equal(a, b) for a, b in zip(pixels["samples"].values(), latents["samples"].values()))


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


def test_a_batch_of_which_nothing_could_be_read_has_no_rows():
    encoder = LatentEncoder(autoencoder())
    empty = encoder.predict_step({"split": "train", "shard": 0, "is_last": True, "failures": {}}, 0)
    assert {name: list(value.shape) for name, value in empty.items() if value.dim() > 1} == {
        "clip": [0, 4, 20],
        "previous": [0, 4, 20],
    }


def test_the_fingerprint_is_that_of_what_the_autoencoder_computes():
    def fingerprint(network):
        return FrozenAutoencoder(network).fingerprint()

    own = fingerprint(autoencoder())
    assert own == fingerprint(autoencoder(gradient_checkpointing=True))
    assert own != fingerprint(autoencoder(seed=1))
    touched = autoencoder()
    with torch.no_grad():
        next(touched.decoder.parameters()).view(-1)[0] += 1e-3
    assert own != fingerprint(touched)
    # The same weights in another arrangement.
    assert fingerprint(autoencoder(heads=4, head_dim=8)) != own


def test_refusals():
    class CachedLatents:
        root, autoencoder_fingerprint = "data/latents", FrozenAutoencoder(autoencoder()).fingerprint()

    trainer = SimpleNamespace(datamodule=CachedLatents())
    check_latents_match(trainer, FrozenAutoencoder(autoencoder()))
    with pytest.raises(InvalidArgumentError) as caught:
        check_latents_match(trainer, FrozenAutoencoder(autoencoder(seed=1)))
    assert str(caught.value) == (
        "DataModule.root data/latents: holds latents of another autoencoder than the one this run decodes with. Run "
        "`pvdm encode` with this run's autoencoder into another folder, or give the autoencoder they are of."
    )
    with pytest.raises(
        InvalidArgumentError, match="^DataModule CachedLatents: gives latents, and stage one needs videos. Give the"
    ):
        check_pixels(trainer)
    check_pixels(SimpleNamespace(datamodule=None))
