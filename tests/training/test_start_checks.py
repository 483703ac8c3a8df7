from types import SimpleNamespace

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training.start_checks import check_latents_match, check_pixels


def autoencoder(seed=0, **how):
    torch.manual_seed(seed)
    sizes = {"dim": 32, "depth": 1, "heads": 2, "head_dim": 16, "projector_depth": 1, "projector_mlp_dim": 32}
    return VideoAutoencoder(4, 16, 8, **{**sizes, **how})


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
