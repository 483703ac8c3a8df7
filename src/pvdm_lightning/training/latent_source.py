"""Checks at the start that cached latents are those of the run's autoencoder."""

from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder


def _fingerprint(trainer: Trainer) -> str | None:
    """Of the autoencoder that encoded the run's data; None for data in pixels."""
    return getattr(getattr(trainer, "datamodule", None), "autoencoder_fingerprint", None)


def check_pixels(trainer: Trainer) -> None:
    """Raise `InvalidArgumentError` if the run's data are latents: stage one trains on pixels."""
    if _fingerprint(trainer) is not None:
        name = type(trainer.datamodule).__name__  # type: ignore[attr-defined]
        raise InvalidArgumentError(
            "DataModule", name, "gives latents, and stage one needs videos", "Give the videos' data set."
        )


def check_latents_match(trainer: Trainer, autoencoder: FrozenAutoencoder) -> None:
    """Raise `InvalidArgumentError` if the run's data are latents of an autoencoder other than the one given."""
    fingerprint = _fingerprint(trainer)
    if fingerprint is not None and fingerprint != autoencoder.fingerprint():
        raise InvalidArgumentError(
            "DataModule.root",
            trainer.datamodule.root,  # type: ignore[attr-defined]
            "holds latents of another autoencoder than the one this run decodes with",
            "Run `pvdm encode` with this run's autoencoder into another folder, or give the autoencoder they are of.",
        )
