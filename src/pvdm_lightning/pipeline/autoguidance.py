"""The worse network of autoguidance (Karras et al. 2024): whether it fits the network that samples."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import nn

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization

if TYPE_CHECKING:
    from pvdm_lightning.pipeline.video_pipeline import VideoPipeline

TOLERANCE = 0.1
"""Of mean and std of the latents, in units of the std: each run measures them in its first batch."""
_REMEDY = "Give an earlier checkpoint of the same run, or a smaller network trained as it."


def check_autoguidance(pipeline: VideoPipeline, worse: VideoPipeline, argument: str, value: object) -> None:
    """Raise `InvalidArgumentError` unless two pipelines denoise the same latents.

    Their prediction types may differ, and so may the conditions that they take.

    Args:
        pipeline: The pipeline that samples.
        worse: That of the worse network.
        argument: What the error calls the latter.
        value: What the user gave for it.
    """
    problem = _difference(pipeline, worse)
    if problem is not None:
        raise InvalidArgumentError(argument, value, problem, _REMEDY)


def _difference(pipeline: VideoPipeline, worse: VideoPipeline) -> str | None:
    if worse.denoiser is None:
        return "has no denoiser, only stage one is trained"
    latent, other = pipeline.first_stage.autoencoder, worse.denoiser
    if other.latent_channels != latent.latent_channels:
        return f"takes latents of {other.latent_channels} channels, not of {latent.latent_channels}"
    if other.latent_shape != latent.latent_shape:
        return f"takes latents of {other.latent_shape}, not of {latent.latent_shape}"
    if pipeline.denoiser is not None:
        both = {*pipeline.denoiser.conditions} & {*other.conditions}
        for part, name in (("label", "num_classes"), ("label", "class_names"), ("context", "context_channels")):
            ours, theirs = getattr(pipeline.denoiser, name), getattr(other, name)
            if part in both and ours != theirs:
                return f"was trained with other {name}"
    own_times, their_times = (
        {name: value for name, value in one.schedule.config.items() if name != "clip_range"}
        for one in (pipeline, worse)
    )
    for name, value in own_times.items():
        if their_times[name] != value:
            return f"was trained with {name} {their_times[name]}, not {value}"
    if not _same_normalization(pipeline.normalization, worse.normalization):
        return "was trained on latents of another normalization"
    if not _same_weights(pipeline.first_stage, worse.first_stage):
        return "was trained on latents of another autoencoder"
    return None


def _same_normalization(own: LatentNormalization | None, other: LatentNormalization | None) -> bool:
    if own is None or other is None:
        return own is other
    mean, std = other.mean.to(own.mean.device), other.std.to(own.std.device)
    return bool((own.mean - mean).abs().max() < TOLERANCE * own.std and (own.std - std).abs() < TOLERANCE * own.std)


def _same_weights(own: FrozenAutoencoder, other: FrozenAutoencoder) -> bool:
    if own is other:
        return True
    ours, theirs = own.state_dict(), other.state_dict()
    # Rounded to the shorter of both data types, in which one of them may be kept.
    dtype = min(own.dtype, other.dtype, key=lambda dtype: torch.finfo(dtype).bits)
    return ours.keys() == theirs.keys() and all(
        weight.shape == theirs[name].shape and torch.equal(weight.to(dtype), theirs[name].to(weight.device, dtype))
        for name, weight in ours.items()
    )


def weights_sha256(network: nn.Module) -> str:
    """A hash of the weights of a network: videos of other ones are never taken for its own."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
