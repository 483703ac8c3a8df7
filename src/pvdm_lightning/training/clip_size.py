"""Checks at the start that data and autoencoder agree on the size of a clip."""

from collections.abc import Sequence

from lightning import Trainer

from pvdm_lightning.errors import InvalidArgumentError


def check_clip_shape(trainer: Trainer, clip_shape: Sequence[int], source: str) -> None:
    """Raise `InvalidArgumentError` if the run's data module makes clips of another size.

    Args:
        trainer: Of the run.
        clip_shape: (frames, height, width) that the autoencoder takes.
        source: What the data follow when their own sizes are left out.
    """
    given = getattr(getattr(trainer, "datamodule", None), "clip_shape", clip_shape)
    if tuple(given) != tuple(clip_shape):
        raise InvalidArgumentError(
            "DataModule.frames/DataModule.resolution",
            " x ".join(map(str, given)),
            f"differs from the {' x '.join(map(str, clip_shape))} of the autoencoder",
            f"Leave the data's frames and resolution out: they follow {source}.",
        )
