from types import SimpleNamespace

import pytest
import torch

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline import FrozenAutoencoder
from pvdm_lightning.training.start_checks import check_conditions, check_latents_match, check_pixels


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


class Videos:
    def __init__(self, conditions=(), context_channels=0):
        self.conditions, self.context_channels, self.root = conditions, context_channels, "data/latents"


class Latents(Videos):
    autoencoder_fingerprint = "f"


def denoiser(*conditions, context_channels=0):
    return SimpleNamespace(conditions=("previous", *conditions), context_channels=context_channels)


@pytest.mark.parametrize(
    ("data", "network", "message"),
    [
        (
            Videos(),
            denoiser("context", context_channels=5),
            "DataModule.context None: is missing: the denoiser attends to vectors of Denoiser.context_channels 5. "
            "Give a file with the vectors of each video, or leave Denoiser.context_channels out.",
        ),
        (
            Latents(),
            denoiser("context", context_channels=5),
            "DataModule.root data/latents: has no vectors, and the denoiser attends to vectors of "
            "Denoiser.context_channels 5. Run the same `pvdm encode` again with DataModule.context: latents "
            "that are there stay.",
        ),
        (
            Videos(("context",), 3),
            denoiser("context", context_channels=5),
            "Denoiser.context_channels 5: is not the 3 channels of the vectors of the data. Give 3, or other vectors.",
        ),
        (
            Videos(),
            denoiser("action"),
            "DataModule Videos: gives no action, which the denoiser takes. Give a data set that does, see "
            "docs/extending.md.",
        ),
        (
            Latents(("context",), 3),
            denoiser("action"),
            "DataModule Latents: gives latents without action, which the denoiser takes: a cache keeps no parts "
            "of one's own. Give the videos' data set.",
        ),
    ],
)
def test_what_a_denoiser_takes_and_data_lack(data, network, message):
    with pytest.raises(InvalidArgumentError) as caught:
        check_conditions(SimpleNamespace(datamodule=data), network)
    assert str(caught.value) == message


def test_what_data_give_and_a_denoiser_does_not_use_is_said_once(caplog):
    caplog.set_level("INFO")
    data = Videos(("context", "action"), 5)
    check_conditions(SimpleNamespace(datamodule=data), denoiser())
    check_conditions(SimpleNamespace(datamodule=data, global_rank=1), denoiser())
    check_conditions(SimpleNamespace(datamodule=data), denoiser("context", "action", context_channels=5))
    check_conditions(SimpleNamespace(datamodule=object()), denoiser("action"))  # whose batches alone tell
    assert caplog.messages == [
        "the denoiser does not use what the data give: context, action; Denoiser.context_channels takes it"
    ]
