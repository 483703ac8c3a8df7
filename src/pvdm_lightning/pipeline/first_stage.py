"""The first stage: a stage-one checkpoint -> a frozen encoder and decoder for stage two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pvdm_lightning.errors import InvalidArgumentError, check_videos
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.pipeline.checkpoint import (
    autoencoder_node,
    build_network,
    part_of,
    read_checkpoint,
    stage_of,
)
from pvdm_lightning.pipeline.pixels import to_signed_float, to_uint8
from pvdm_lightning.pipeline.public_classes import find_class
from pvdm_lightning.pipeline.runs import checkpoint_in

PATCHES_AT_ONCE = 2**17
"""Patches encoded together: 8 clips of 16 x 256 x 256, which take 2.5 GiB in bfloat16."""


class FrozenAutoencoder(nn.Module):
    """An autoencoder that is never trained: without gradients, always in evaluation mode."""

    def __init__(self, autoencoder: VideoAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    @classmethod
    def from_checkpoint(cls, path: str | Path, argument: str) -> FrozenAutoencoder:
        """The autoencoder of a stage-one checkpoint.

        Raises:
            InvalidArgumentError: The file is not one.
        """
        stage = "AutoencoderModule"
        return cls.from_state(read_checkpoint(checkpoint_in(path, argument, stage), argument, expected=stage))

    @classmethod
    def from_state(cls, checkpoint: Mapping[str, Any]) -> FrozenAutoencoder:
        """The autoencoder of a checkpoint of either stage, as `read_checkpoint` returns it."""
        node = autoencoder_node(checkpoint)
        frozen = cls(build_network(find_class(node["class_path"]), node["init_args"]))
        frozen.load_weights(checkpoint)
        return frozen

    def load_weights(self, checkpoint: Mapping[str, Any]) -> None:
        """Take the weights from a checkpoint of either stage."""
        prefix = "autoencoder." if stage_of(checkpoint) == "AutoencoderModule" else "autoencoder.autoencoder."
        weights = part_of(checkpoint["state_dict"], prefix)
        self.autoencoder.load_state_dict(weights)

    def train(self, mode: bool = True) -> FrozenAutoencoder:
        """Stays in evaluation mode."""
        return super().train(False)

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights."""
        return next(self.autoencoder.parameters()).dtype

    @torch.no_grad()
    def encode(self, clip: Tensor) -> Tensor:
        """Clip uint8 [B 3 S H W] -> latent sequence float32 [B C L] in [-1, 1]; memory does not grow with B."""
        check_videos("clip", clip, "[B 3 S H W]")
        shape = self.autoencoder.latent_shape
        at_once = max(1, PATCHES_AT_ONCE // (shape.frames * shape.height * shape.width))
        return torch.cat(
            [
                self.autoencoder.encode(to_signed_float(some).to(self.dtype)).to_sequence().float()
                for some in clip.split(at_once)
            ]
        )

    def to_latent(self, clip: Tensor) -> Tensor:
        """As `encode`; a clip that comes as its latent [B C L] already, from a cache, stays as it is."""
        return clip if clip.dim() == 3 else self.encode(clip)

    def to_pixels(self, clip: Tensor) -> Tensor:
        """Clip uint8 [B 3 S H W], or its latent from a cache [B C L] -> clip uint8 [B 3 S H W]."""
        return self.decode(clip) if clip.dim() == 3 else clip

    def fingerprint(self) -> str:
        """A hash over configuration and weights: autoencoders that share it make and read the same latents."""
        # Checkpointing is about memory, not about results; what came later leaves older hashes as they are.
        config = {key: value for key, value in self.autoencoder.config.items() if key != "gradient_checkpointing"}
        if not config.get("overlapping_output"):
            config.pop("overlapping_output", None)
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for name, value in sorted(self.autoencoder.state_dict().items()):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Latent sequence [B C L] -> clip uint8 [B 3 S H W]; one clip at a time, so memory does not grow with B."""
        shape = self.autoencoder.latent_shape
        clips = [self.autoencoder.decode(Triplane.from_sequence(one, shape)) for one in latent.to(self.dtype).split(1)]
        return torch.cat([to_uint8(clip) for clip in clips])


def check_denoiser(denoiser: Denoiser, autoencoder: VideoAutoencoder) -> None:
    """Raise `InvalidArgumentError` if a denoiser was built for other latents than an autoencoder's."""
    channels, shape = autoencoder.latent_channels, autoencoder.latent_shape
    if denoiser.latent_channels != channels:
        problem = f"does not match the autoencoder's latents ({channels})"
        raise InvalidArgumentError(
            "Denoiser.latent_channels", denoiser.latent_channels, problem, f"Set it to {channels}."
        )
    if denoiser.latent_shape not in (None, shape):
        problem = f"does not match the autoencoder's latents ({shape})"
        remedy = "Set it to those, or leave it out: null takes the autoencoder's latent_shape."
        raise InvalidArgumentError("Denoiser.latent_shape", denoiser.latent_shape, problem, remedy)
