"""The handoff: a stage-one checkpoint -> a frozen encoder and decoder for stage two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pvdm_lightning.autoencoder import VideoAutoencoder
from pvdm_lightning.training.checkpoint import part_of, read_checkpoint
from pvdm_lightning.training.pixels import to_uint8, to_unit
from pvdm_lightning.triplane import Triplane


class FrozenAutoencoder(nn.Module):
    """An autoencoder that is never trained: without gradients, always in evaluation mode."""

    def __init__(self, autoencoder: VideoAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    @classmethod
    def from_checkpoint(cls, path: str | Path, flag: str) -> FrozenAutoencoder:
        """The autoencoder of a stage-one checkpoint.

        Raises:
            UserError: The file is not one.
        """
        checkpoint = read_checkpoint(path, flag, expected="AutoencoderModule")
        frozen = cls.from_config(checkpoint["hyper_parameters"]["autoencoder"]["init_args"])
        frozen.autoencoder.load_state_dict(part_of(checkpoint["state_dict"], "autoencoder."))
        return frozen

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FrozenAutoencoder:
        """An autoencoder of that configuration, its weights yet to be loaded."""
        return cls(VideoAutoencoder(**config))

    def train(self, mode: bool = True) -> FrozenAutoencoder:
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, clip: Tensor) -> Tensor:
        """Clip uint8 [B 3 S H W] -> latent sequence float32 [B C L] in [-1, 1]."""
        return self.autoencoder.encode(to_unit(clip)).to_sequence().float()

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Latent sequence [B C L] -> clip uint8 [B 3 S H W]; one clip at a time, so memory does not grow with B."""
        shape = self.autoencoder.latent_shape
        clips = [self.autoencoder.decode(Triplane.from_sequence(one, shape)) for one in latent.split(1)]
        return torch.cat([to_uint8(clip) for clip in clips])
