"""The module that `pvdm encode` runs: clips, also with some frames known alone -> latents of the frozen autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.compilation import compile_parts
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.known_frames import fill_unknown, parse_masks
from pvdm_lightning.training.start_checks import check_precision


class LatentEncoder(LightningModule):
    """Encodes clips, optionally mirrored too, and with masks of known frames; never trained.

    Args:
        autoencoder: The network.
    """

    clips_per_sample = 2

    def __init__(self, autoencoder: VideoAutoencoder) -> None:
        super().__init__()
        self.frozen = FrozenAutoencoder(autoencoder)
        self.flips = False
        self.known_frames: list[str] = []
        self.known_masks = torch.zeros(0, self.clip_shape[0], dtype=torch.bool)

    def encode_with(self, flips: bool, known_frames: Sequence[str], trainer: Trainer) -> None:
        """Choose what is encoded beside the clips, and attach the trainer before it starts.

        Args:
            flips: Whether to encode training clips mirrored, too.
            known_frames: Masks, such as ``first:4``: each clip is encoded once more for each, with its other frames
                filled from the nearest known one.
            trainer: The trainer.

        Raises:
            InvalidArgumentError: `known_frames` has a text that is no mask of a clip, or the same mask twice.
        """
        argument = "CacheOptions.known_frames"
        self.known_masks = parse_masks(known_frames, self.clip_shape[0], argument)
        self.known_frames = [str(text).strip() for text in known_frames]
        for text, mask in zip(self.known_frames, self.known_masks):
            if not mask.any():
                raise InvalidArgumentError(argument, text, "has no known frame to store", "Leave it out.")
        self.flips, self.trainer = flips, trainer

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of the clips the autoencoder takes."""
        return self.frozen.autoencoder.clip_shape

    def compile_networks(self, **options: Any) -> None:
        """Compile parts of the autoencoder in place; `options` as of torch.compile."""
        compile_parts(self.frozen.autoencoder.parts_to_compile(), **options)

    def setup(self, stage: str) -> None:
        check_precision(self.trainer)

    def describe(self) -> dict[str, Any]:
        """The description of autoencoder and latents in a cache."""
        network = self.frozen.autoencoder
        masks = ["".join(str(int(frame)) for frame in mask) for mask in self.known_masks]
        return {
            "autoencoder": {"fingerprint": self.frozen.fingerprint(), "config": network.config},
            "clip_shape": list(network.clip_shape),
            "latent": {"channels": network.latent_channels, "tokens": network.latent_shape.num_tokens},
            "precision": str(self.trainer.precision),
            **({"known_frames": self.known_frames, "known_masks": masks} if masks else {}),
        }

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """A batch of `ShardLoader` -> the rows that a shard gets from it, on the CPU."""
        if "clip" not in batch:  # none of its windows could be read
            return self._no_rows()
        both = self.flips and batch["split"] == "train"
        parts = [self._encode(batch, flipped) for flipped in ((False, True) if both else (False,))]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _no_rows(self) -> dict[str, Tensor]:
        network, masks = self.frozen.autoencoder, len(self.known_masks)
        latent = torch.zeros(0, network.latent_channels, network.latent_shape.num_tokens)
        flags, numbers = torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.int64)
        return {
            **dict.fromkeys(("clip", "previous"), latent),
            **dict.fromkeys(("has_previous", "flipped"), flags),
            **dict.fromkeys(("label", "index", "start"), numbers),
            **({"known": latent[:, None].repeat(1, masks, 1, 1)} if masks else {}),
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
            **self._known(clip, latent),
        }
        return {name: value.cpu() for name, value in rows.items()}

    def _known(self, clip: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Clips uint8 [B 3 S H W] and their latents [B C L] -> "known", their latents under each mask, [B M C L]."""
        known = [
            latent if mask.all() else self.frozen.encode(fill_unknown(clip, mask.expand(len(clip), -1)))
            for mask in self.known_masks
        ]
        return {"known": torch.stack(known, dim=1)} if known else {}
