"""The module that `pvdm encode` runs: clips -> latents of the frozen autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.training.start_checks import check_precision


class LatentEncoder(LightningModule):
    """Encodes clips, optionally mirrored too; never trained.

    Args:
        autoencoder: The network.
    """

    clips_per_sample = 2

    def __init__(self, autoencoder: VideoAutoencoder) -> None:
        super().__init__()
        self.frozen = FrozenAutoencoder(autoencoder)
        self.flips = False

    def encode_with(self, flips: bool, trainer: Trainer) -> None:
        """Choose whether mirrored training clips are encoded too, and attach the trainer before it starts."""
        self.flips, self.trainer = flips, trainer

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the autoencoder takes."""
        return self.frozen.autoencoder.clip_shape

    def compile_networks(self, **options: Any) -> None:
        """Compile the autoencoder in place; `options` as of torch.compile."""
        self.frozen.autoencoder.compile_parts(**options)

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)

    def describe(self) -> dict[str, Any]:
        """The description of autoencoder and latents in a cache."""
        network = self.frozen.autoencoder
        return {
            "autoencoder": {"fingerprint": self.frozen.fingerprint(), "config": network.config},
            "clip_shape": list(network.clip_shape),
            "latent": {"channels": network.latent_channels, "tokens": network.latent_shape.num_tokens},
            "precision": str(self.trainer.precision),
        }

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """A batch of `ShardLoader` -> the rows that a shard gets from it, on the CPU."""
        if "clip" not in batch:  # none of its windows could be read
            return self._no_rows()
        both = self.flips and batch["split"] == "train"
        parts = [self._encode(batch, flipped) for flipped in ((False, True) if both else (False,))]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _no_rows(self) -> dict[str, Tensor]:
        network = self.frozen.autoencoder
        latent = torch.zeros(0, network.latent_channels, network.latent_shape.num_tokens)
        flags, numbers = torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.int64)
        return {
            **dict.fromkeys(("clip", "previous"), latent),
            **dict.fromkeys(("has_previous", "flipped"), flags),
            **dict.fromkeys(("label", "index", "start"), numbers),
        }

    def _encode(self, batch: dict[str, Any], flipped: bool) -> dict[str, Tensor]:
        has_previous = batch["has_previous"]
        clip, previous = batch["clip"], batch["previous"][has_previous]
        if flipped:
            clip, previous = clip.flip(-1), previous.flip(-1)
        latent = self.frozen.encode(clip)
        rows = {
            "clip": latent,
            "previous": self.frozen.encode(previous) if len(previous) else latent[:0],
            "flipped": torch.full_like(has_previous, flipped),
            **{name: batch[name] for name in ("has_previous", "label", "index", "start")},
        }
        return {name: value.cpu() for name, value in rows.items()}
