"""Checks at the start of a run: precision, clip size, and where latents come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lightning import Trainer
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder

logger = logging.getLogger(__name__)

DEFAULT_PROBABILITIES = {"known": 0.5, "label": 0.9, "context": 0.9}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Weights and pixels stay in float32, matrix products may be narrower."""


def check_precision(trainer: Trainer) -> None:
    """Raise `InvalidArgumentError` if the precision of a run is none of `PRECISIONS`."""
    precision = getattr(trainer, "precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        problem = "is not a precision that the networks run in"
        raise InvalidArgumentError("Trainer.precision", precision, problem, f"Give one of {', '.join(PRECISIONS)}.")


def check_clip_shape(trainer: Trainer, clip_shape: Sequence[int]) -> None:
    """Raise `InvalidArgumentError` if the data module of a run makes clips of another size.

    Args:
        trainer: The Trainer of the run.
        clip_shape: (frames, height, width) that the autoencoder takes.
    """
    given = getattr(_data_of(trainer), "clip_shape", clip_shape)
    if tuple(given) != tuple(clip_shape):
        raise InvalidArgumentError(
            "DataModule.frames/DataModule.resolution",
            " x ".join(map(str, given)),
            f"differs from the {' x '.join(map(str, clip_shape))} of the autoencoder",
            "Leave the data's frames and resolution out: they follow the autoencoder.",
        )


def check_pixels(trainer: Trainer) -> None:
    """Raise `InvalidArgumentError` if the data of a run are latents: stage one trains on pixels."""
    data = _data_of(trainer)
    if _fingerprint(data) is not None:
        problem = "gives latents, and stage one needs videos"
        raise InvalidArgumentError("DataModule", type(data).__name__, problem, "Give the videos' data set.")


def check_latents_match(trainer: Trainer, first_stage: FrozenAutoencoder) -> None:
    """Raise `InvalidArgumentError` if the data of a run are latents of an autoencoder other than `first_stage`."""
    data = _data_of(trainer)
    fingerprint = _fingerprint(data)
    if fingerprint is not None and fingerprint != first_stage.fingerprint():
        raise InvalidArgumentError(
            "DataModule.root",
            data.root,
            "holds latents of another autoencoder than the one this run decodes with",
            "Run `pvdm encode` with this run's autoencoder into another folder, or give the autoencoder they are of.",
        )


def check_latent_range(first_stage: FrozenAutoencoder, normalized: bool) -> None:
    """Raise `InvalidArgumentError` if samplers would clip latents that leave [-1, 1] and are not normalized."""
    if first_stage.autoencoder.zero_mean_motion and not normalized:  # subtracting a mean takes them out of [-1, 1]
        raise InvalidArgumentError(
            "LatentDiffusionModule.normalize_latents",
            False,
            "does not go with an autoencoder of zero_mean_motion, whose latents leave [-1, 1]",
            "Give true.",
        )


def checked_probabilities(given: Mapping[str, float], parts: Sequence[str]) -> dict[str, float]:
    """The share of samples that keep each part of their condition beside the clip before.

    Raises:
        InvalidArgumentError: One is not a probability, or of a part that the denoiser does not take.
    """
    name, own = "LatentDiffusionModule.condition_probabilities", [part for part in parts if part != "previous"]
    for part, probability in given.items():
        if part not in own:
            problem = "is not a further part of the condition that the denoiser takes"
            remedy = f"Give {', '.join(own)}." if own else "Leave it out: it takes none."
            raise InvalidArgumentError(name, part, problem, remedy)
        if not 0 <= probability <= 1:
            raise InvalidArgumentError(name, probability, "is not a probability", "Give 0 (never) to 1 (always).")
    return {part: given.get(part, DEFAULT_PROBABILITIES.get(part, 0.9)) for part in own}


def known_masks_of(trainer: Trainer, denoiser: Denoiser) -> Tensor | None:
    """The masks of known frames that cached latents of a run have, bool [M S]; None where the clips are pixels.

    Raises:
        InvalidArgumentError: The denoiser takes known frames, and the cache has none.
    """
    data = _data_of(trainer)
    if "known" not in denoiser.conditions or _fingerprint(data) is None:
        return None
    masks: Tensor = data.known_masks
    if not len(masks):
        raise InvalidArgumentError(
            "DataModule.root",
            data.root,
            "holds no latents of clips with known frames, which the denoiser is trained on",
            'Encode it again with --output.known_frames "[first:4, ends:1]", or give the videos themselves.',
        )
    return masks


def check_conditions(trainer: Trainer, denoiser: Denoiser) -> None:
    """Raise `InvalidArgumentError` if the data of a run lack a further part of the condition that a denoiser takes.

    What a data module gives is its attribute `conditions`. Of one without it, the first batch tells.
    """
    data = _data_of(trainer)
    given = getattr(data, "conditions", None)
    if given is None:
        return
    latents = _fingerprint(data) is not None
    for part in denoiser.conditions:
        if part not in (*given, "previous", "known", "label"):
            raise _lacking(part, data, denoiser, latents)
    channels = getattr(data, "context_channels", 0)
    if "context" in denoiser.conditions and channels not in (0, denoiser.context_channels):
        problem = f"is not the {channels} channels of the vectors of the data"
        name = "Denoiser.context_channels"
        raise InvalidArgumentError(name, denoiser.context_channels, problem, f"Give {channels}, or other vectors.")
    unused = [part for part in given if part not in denoiser.conditions]
    if unused and getattr(trainer, "global_rank", 0) == 0:
        more = "; Denoiser.context_channels takes it" if "context" in unused else ""
        logger.info("the denoiser does not use what the data give: %s%s", ", ".join(unused), more)


def _lacking(part: str, data: Any, denoiser: Denoiser, latents: bool) -> InvalidArgumentError:
    name = type(data).__name__
    if part == "context":
        takes = f"the denoiser attends to vectors of Denoiser.context_channels {denoiser.context_channels}"
        if latents:
            remedy = "Run the same `pvdm encode` again with DataModule.context: latents that are there stay."
            return InvalidArgumentError("DataModule.root", data.root, f"has no vectors, and {takes}", remedy)
        remedy = "Give a file with the vectors of each video, or leave Denoiser.context_channels out."
        return InvalidArgumentError("DataModule.context", None, f"is missing: {takes}", remedy)
    if latents:
        problem = f"gives latents without {part}, which the denoiser takes: a cache keeps no parts of one's own"
        return InvalidArgumentError("DataModule", name, problem, "Give the videos' data set.")
    problem = f"gives no {part}, which the denoiser takes"
    return InvalidArgumentError("DataModule", name, problem, "Give a data set that does, see docs/extending.md.")


def _data_of(trainer: Trainer) -> Any:
    return getattr(trainer, "datamodule", None)


def _fingerprint(data: Any) -> str | None:
    """The fingerprint of the autoencoder that encoded the data; None for data in pixels."""
    return getattr(data, "autoencoder_fingerprint", None)
