"""VideoPipeline: what a trained model is used for, without Lightning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pvdm_lightning.diffusion import (
    Denoise,
    NoiseSchedule,
    PredictionType,
    bind,
    sample_clips,
)
from pvdm_lightning.diffusion.samplers import OnStep
from pvdm_lightning.errors import InvalidArgumentError, check_videos
from pvdm_lightning.memory import check_memory
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.models.triplane import Triplane
from pvdm_lightning.pipeline import loading
from pvdm_lightning.pipeline.first_stage import FrozenAutoencoder
from pvdm_lightning.pipeline.latent_normalization import LatentNormalization
from pvdm_lightning.pipeline.sampling import SamplerName, Sampling
from pvdm_lightning.random import make_generator


class VideoPipeline:
    """Encodes, reconstructs and samples videos with trained networks.

    Videos are uint8 [B 3 T H W]. Build one with `from_checkpoint` or `from_pretrained`.

    Args:
        first_stage: The autoencoder.
        denoiser: The denoiser of stage two, as samples are drawn with it (its EMA); None if only stage one is trained.
        schedule: The noise schedule it was trained with.
        normalization: Of the latents it was trained on; None for the autoencoder's own.
        prediction_type: What it predicts.
        about: What it was trained on, and how far; for the model card.
    """

    def __init__(
        self,
        first_stage: FrozenAutoencoder,
        denoiser: Denoiser | None = None,
        schedule: NoiseSchedule | None = None,
        normalization: LatentNormalization | None = None,
        prediction_type: PredictionType = "epsilon",
        about: dict[str, Any] | None = None,
    ) -> None:
        self.first_stage = first_stage
        self.denoiser = denoiser
        self.schedule = schedule or NoiseSchedule()
        self.normalization = normalization
        self.prediction_type: PredictionType = prediction_type
        self.about = about or {}

    @classmethod
    def from_checkpoint(cls, path: str | Path) -> VideoPipeline:
        """Load a checkpoint of `pvdm fit`, of either stage.

        Raises:
            InvalidArgumentError: There is no such file, or it is not a checkpoint of this project.
        """
        return cls(**loading.parts_of_checkpoint(path))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> VideoPipeline:
        """Load a folder that `save_pretrained` wrote, or "showcase", which comes with the package.

        Raises:
            InvalidArgumentError: The folder does not hold a pipeline.
        """
        return cls(**loading.parts_of_folder(Path(folder)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model.safetensors, config.json and a model card, README.md, into a folder."""
        parts = {
            "autoencoder": self.first_stage.autoencoder,
            "denoiser": self.denoiser,
            "normalization": self.normalization,
        }
        networks = {name: part for name, part in parts.items() if part is not None}
        loading.write_folder(Path(folder), networks, self.schedule, self.prediction_type, self.about)

    def to(self, device: str | torch.device) -> VideoPipeline:
        """Move the networks to a device, in place."""
        for module in self._modules():
            module.to(device)
        return self

    @property
    def clip_shape(self) -> tuple[int, int, int]:
        """(frames, height, width) of a clip."""
        return self.first_stage.autoencoder.clip_shape

    @property
    def device(self) -> torch.device:
        return next(self.first_stage.parameters()).device

    def encode(self, video: Tensor) -> Triplane:
        """Clips uint8 [B 3 S H W] -> their latent planes, float32 in [-1, 1].

        Raises:
            ValueError: The clips are not uint8 in 0..255, or have another size than the autoencoder takes.
        """
        check_videos("VideoPipeline.video", video, "[B 3 S H W]")
        latent = self.first_stage.encode(video.to(self.device))
        return Triplane.from_sequence(latent, self.first_stage.autoencoder.latent_shape)

    def decode(self, latent: Triplane) -> Tensor:
        """Latent planes in [-1, 1] -> clips uint8 [B 3 S H W]."""
        return self.first_stage.decode(latent.to_sequence())

    def reconstruct(self, video: Tensor) -> Tensor:
        """Clips uint8 [B 3 S H W] -> what the autoencoder makes of them, likewise."""
        return self.decode(self.encode(video))

    def sample(
        self,
        num_videos: int = 1,
        num_frames: int | None = None,
        num_inference_steps: int = 100,
        num_inference_steps_later: int | None = None,
        sampler: SamplerName = "ddim",
        eta: float = 1.0,
        guidance_scale: float = 1.0,
        seed: int = 0,
        batch_size: int = 4,
        previous: Tensor | None = None,
    ) -> Tensor:
        """Sample videos, or continue some.

        Args:
            num_videos: How many; with `previous`, as many as it has.
            num_frames: Frames of each; None is one clip.
            num_inference_steps: Steps for the first clip, N of the paper's N/M-s.
            num_inference_steps_later: Steps for each later clip, M; None takes as many as for the first.
            sampler: ddim, ddpm, dpm_solver or dpm_solver_sde.
            eta: Fresh noise in each step of ddim: 0 is deterministic.
            guidance_scale: Of classifier-free guidance on later clips; 1 is none. See `Sampling`.
            seed: Video i of a seed is the same for every `num_videos` and `batch_size`.
            batch_size: Videos sampled at once.
            previous: Clips uint8 [N 3 S H W] to continue; they are not part of the result.

        Returns:
            uint8 [N 3 T H W], on the CPU.

        Raises:
            InvalidArgumentError: There is no denoiser, or an argument cannot be used.
        """
        if previous is not None:
            check_videos("VideoPipeline.previous", previous, "[B 3 S H W]")
        num_videos = num_videos if previous is None else len(previous)
        options = Sampling(
            num_videos,
            num_frames,
            sampler,
            num_inference_steps,
            num_inference_steps_later,
            eta,
            guidance_scale,
            seed,
            batch_size,
        )
        options.check_memory(self.clip_shape)
        frames, height, width = self.clip_shape
        shape = (num_videos, 3, num_frames or frames, height, width)
        check_memory("Sampling.num_videos", num_videos, math.prod(shape), "all of them together")
        batches = torch.arange(num_videos).split(batch_size)
        given = [None] * len(batches) if previous is None else previous.split(batch_size)
        return torch.cat([self.generate(batch.tolist(), options, clip) for batch, clip in zip(batches, given)])

    @torch.no_grad()
    def generate(
        self,
        indices: Sequence[int],
        sampling: Sampling,
        previous: Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Sample one batch of videos, by their indices: uint8 [B 3 T H W] on the CPU. See `sample`.

        Args:
            indices: Numbers of the videos, from which their random numbers follow.
            sampling: How they are drawn.
            previous: Clips uint8 [B 3 S H W] to continue.
            on_step: Called after each step of the sampler, see `Sampler`.
        """
        network = self.first_stage.autoencoder
        shape = (len(indices), network.latent_channels, network.latent_shape.num_tokens)
        generators = [make_generator(sampling.seed, index) for index in indices]
        first, later = sampling.samplers(self.schedule)
        condition = None if previous is None else self.to_latent(previous.to(self.device))
        bind_to = partial(self.bind, guidance_scale=sampling.guidance_scale)
        num_clips = sampling.num_clips(self.clip_shape[0])
        latents = sample_clips(bind_to, first, later, shape, num_clips, generators, condition, on_step)
        video = torch.cat([self.to_pixels(latent).cpu() for latent in latents], dim=2)
        return video[:, :, : sampling.num_frames]

    def bind(self, condition: Tensor | None = None, guidance_scale: float = 1.0) -> Denoise:
        """Bind the denoiser to condition, guidance and prediction type, for a sampler, which expects epsilon.

        Args:
            condition: Latents [B C L] of the clips before, as the denoiser sees them; None is no clip.
            guidance_scale: Scale of classifier-free guidance; 1 is none.

        Raises:
            InvalidArgumentError: Only stage one is trained.
        """
        if self.denoiser is None:
            raise InvalidArgumentError(
                "VideoPipeline.denoiser", None, "only stage one is trained", "Load a checkpoint of stage two."
            )
        return bind(self.denoiser, self.schedule, self.prediction_type, condition, guidance_scale)

    def to_latent(self, clip: Tensor) -> Tensor:
        """Clips uint8 [B 3 S H W], or latents of the autoencoder [B C L] -> latents [B C L] of the denoiser."""
        latent = self.first_stage.to_latent(clip)
        if self.normalization is None:
            return latent
        return self.normalization(latent, self.first_stage.autoencoder.latent_shape)

    def to_pixels(self, latent: Tensor) -> Tensor:
        """Latents [B C L] as the denoiser sees them -> clips uint8 [B 3 S H W]."""
        if self.normalization is not None:
            latent = self.normalization.inverse(latent, self.first_stage.autoencoder.latent_shape)
        return self.first_stage.decode(latent)

    def _modules(self) -> list[nn.Module]:
        parts = (self.first_stage, self.denoiser, self.schedule, self.normalization)
        return [part for part in parts if part is not None]
