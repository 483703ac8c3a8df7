"""The sampling options, and the samplers they build."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from pvdm_lightning.diffusion import SAMPLERS, Guidance, NoiseSchedule, Sampler
from pvdm_lightning.diffusion.guidance import check_interval, check_rescale, check_scale
from pvdm_lightning.errors import InvalidArgumentError, check_at_least, check_numbers
from pvdm_lightning.memory import available_memory
from pvdm_lightning.models.denoiser import Denoiser
from pvdm_lightning.pipeline.class_labels import balanced_classes, find_label

MOST_VIDEOS = 10**7
MOST_FRAMES = 10**7
"""Of a video that is written as it is drawn: days at 25 frames a second."""
ALL_STEPS = "ddpm"
"""The sampler that visits every time of the schedule, whatever number of steps is asked for."""
SCALES = {
    "guidance_scale": "previous",
    "guidance_scale_known": "known",
    "guidance_scale_label": "label",
    "guidance_scale_context": "context",
}
"""Options -> the parts of `Condition` that they guide."""


@dataclass
class Sampling:
    """Options of sampling.

    Args:
        num_videos: How many videos.
        num_frames: Frames of each; beyond a clip's length, clips are drawn one after another, each given the one
            before it. Default: one clip.
        sampler: ddim (any eta), ddpm (ancestral, all training steps), dpm_solver (DPM-Solver++ 2M, about 20 steps) or
            dpm_solver_sde (the same, with fresh noise in each step).
        num_inference_steps: Steps for the first clip, N of the paper's N/M-s. Not used by ddpm.
        num_inference_steps_later: Steps for each later clip, M. Default: as the first.
        eta: Fresh noise in each step of ddim: 0 is deterministic, 1 as in the paper.
        guidance_scale: Scale s of classifier-free guidance on later clips, eps(z, 0) + s (eps(z, c) - eps(z, 0)), as in
            diffusers: 0 samples without the clip before, 1 is no guidance. The paper's weight w is s - 1.
        guidance_scale_known: The same for known frames, also those that a clip continues; the scales add up, see
            `Guidance`.
        guidance_scale_label: The same for classes.
        guidance_scale_context: The same for vectors of context.
        guidance_interval: First and last time of all guidance, as shares of the times: 0 is the least noise, 1 the
            most. Outside, a step takes one evaluation.
        guidance_rescale: How far guided samples get back the contrast that they have without guidance, 0 to 1.
        autoguidance_ckpt: Checkpoint or saved pipeline of a worse network, trained on the same latents: an earlier
            checkpoint of the run, or a smaller network.
        autoguidance_scale: How far samples move away from what the worse network predicts, on all clips; 1 is not at
            all.
        class_names: Classes to sample, by name or number, the videos taking them in turn. Default: all that the model
            was trained with; an empty list samples without a class.
        overlap: Frames of each clip that the next one continues, of a model that takes known frames: no seams. Default:
            a quarter of a clip; 0 passes on the latent of the clip before alone, as in the paper.
        seed: Seed of the draws. Up to rounding, video i is the same for any batch size and number of processes.
        batch_size: Videos sampled at once, per process.
        cuda_graph: Start all kernels of a step at once, as a CUDA graph; the videos are the same. auto does where there
            is a CUDA device, on is an error elsewhere.
    """

    num_videos: int = 16
    num_frames: int | None = None
    sampler: str = "ddim"
    num_inference_steps: int = 100
    num_inference_steps_later: int | None = None
    eta: float = 1.0
    guidance_scale: float = 1.0
    guidance_scale_known: float = 1.0
    guidance_scale_label: float = 1.0
    guidance_scale_context: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    autoguidance_ckpt: str | None = None
    autoguidance_scale: float = 1.0
    class_names: list[str | int] | None = None
    overlap: int | None = None
    seed: int = 0
    batch_size: int = 4
    cuda_graph: Literal["auto", "on", "off"] = "auto"

    def __post_init__(self) -> None:
        check_numbers("Sampling", vars(self))
        if self.sampler not in SAMPLERS:
            *others, last = SAMPLERS
            near = difflib.get_close_matches(self.sampler, SAMPLERS, n=1)
            remedy = f"Give {', '.join(others)} or {last}.{f' Did you mean {near[0]}?' if near else ''}"
            raise InvalidArgumentError("Sampling.sampler", self.sampler, "is not a sampler", remedy)
        for name in ("num_videos", "num_frames", "num_inference_steps", "num_inference_steps_later", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"Sampling.{name}", value, "is not positive", "Give 1 or more.")
        if self.cuda_graph not in ("auto", "on", "off"):
            raise InvalidArgumentError("Sampling.cuda_graph", self.cuda_graph, "is no choice", "Give auto, on or off.")
        check_at_least("Sampling.seed", self.seed, 0)
        check_at_least("Sampling.overlap", self.overlap, 0)
        if not 0 <= self.eta <= 1:
            raise InvalidArgumentError(
                "Sampling.eta", self.eta, "is not between 0 and 1", "Give 0 (deterministic) to 1."
            )
        for name, part in SCALES.items():
            check_scale(f"Sampling.{name}", getattr(self, name), part)
        check_scale("Sampling.autoguidance_scale", self.autoguidance_scale)
        check_interval("Sampling.guidance_interval", self.guidance_interval)
        check_rescale("Sampling.guidance_rescale", self.guidance_rescale)
        start, end = self.guidance_interval
        self.guidance_interval = (start, end)  # a list, where it comes from a file
        if self.autoguidance_ckpt is not None and self.autoguidance_scale == 1:
            problem = "has no effect at an autoguidance_scale of 1"
            remedy = "Give Sampling.autoguidance_scale, such as 2."
            raise InvalidArgumentError("Sampling.autoguidance_ckpt", self.autoguidance_ckpt, problem, remedy)

    def further_guidance(self) -> dict[str, Any]:
        """The options of guidance that are not at their defaults, beside `guidance_scale`; of no path."""
        names = [*list(SCALES)[1:], "guidance_interval", "guidance_rescale", "autoguidance_scale"]
        defaults = {option.name: option.default for option in fields(self)}
        return {name: getattr(self, name) for name in names if getattr(self, name) != defaults[name]}

    @property
    def guidance(self) -> Guidance:
        """The guidance that the options ask for."""
        scales = {part: getattr(self, name) for name, part in SCALES.items()}
        return Guidance(scales, self.guidance_interval, self.guidance_rescale, self.autoguidance_scale)

    def num_clips(self, frames: int, overlap: int = 0, continues: bool = False) -> int:
        """Clips of `frames` frames that the video takes.

        Args:
            frames: Frames of a clip.
            overlap: Frames of each clip that the next one continues.
            continues: Whether the first clip continues frames that are not part of the video.
        """
        wanted = (self.num_frames or frames) + (overlap if continues else 0)
        return 1 + max(0, math.ceil((wanted - frames) / (frames - overlap)))

    def labels(self, indices: Sequence[int], class_names: Sequence[str]) -> Tensor:
        """The label of each video by its number, int64 [B].

        Raises:
            InvalidArgumentError: The model has no such class.
        """
        if self.class_names is None:
            chosen = list(range(len(class_names)))
        else:
            chosen = [find_label(name, class_names) for name in self.class_names]
        labels = balanced_classes(max(indices, default=-1) + 1, chosen)
        return torch.tensor([labels[index] for index in indices])

    def overlap_of(self, denoiser: Denoiser, frames: int) -> int:
        """Frames of each clip that the next one continues.

        Raises:
            InvalidArgumentError: The model cannot continue frames, or a clip would have no new one.
        """
        takes_known = "known" in denoiser.conditions
        if self.overlap is None:
            return frames // 4 if takes_known else 0
        if self.overlap and not takes_known:
            problem = "the model was trained without known frames"
            remedy = "Give 0, or train one with Denoiser.known_frames true."
            raise InvalidArgumentError("Sampling.overlap", self.overlap, problem, remedy)
        if self.overlap >= frames:
            problem = f"leaves no new frame in a clip of {frames}"
            raise InvalidArgumentError("Sampling.overlap", self.overlap, problem, f"Give 0 to {frames - 1}.")
        return self.overlap

    def steps(self, schedule: NoiseSchedule) -> tuple[int, int]:
        """Evaluations of the denoiser for the first and for each later clip."""
        if self.sampler == ALL_STEPS:
            return schedule.num_train_timesteps, schedule.num_train_timesteps
        return self.num_inference_steps, self.num_inference_steps_later or self.num_inference_steps

    def samplers(self, schedule: NoiseSchedule) -> tuple[Sampler, Sampler]:
        """The samplers of the first and of later clips.

        Raises:
            InvalidArgumentError: More steps than the model was trained with.
        """
        names = () if self.sampler == ALL_STEPS else ("num_inference_steps", "num_inference_steps_later")
        for name in names:
            value = getattr(self, name)
            if value is not None and value > schedule.num_train_timesteps:
                raise InvalidArgumentError(
                    f"Sampling.{name}",
                    value,
                    f"is more than the {schedule.num_train_timesteps} steps of the noise schedule",
                    f"Give at most {schedule.num_train_timesteps}.",
                )

        first, later = (SAMPLERS[self.sampler](schedule, steps, self.eta) for steps in self.steps(schedule))
        return first, later

    def check_memory(self, clip_shape: tuple[int, int, int], streamed: bool = False) -> None:
        """Raise `InvalidArgumentError` if a batch of videos does not fit into the free memory.

        Args:
            clip_shape: (frames, height, width) of a clip.
            streamed: Whether clips are handed on as they are drawn, in place of whole videos.
        """
        frames, height, width = clip_shape
        # uint8, and once more while the clips are joined, or while the next one is drawn.
        per_video = 2 * (1 if streamed else self.num_clips(frames)) * frames * height * width * 3
        for name, most in (("num_videos", MOST_VIDEOS), ("num_frames", MOST_FRAMES)):
            value = getattr(self, name)
            if value is not None and value > most and (streamed or name == "num_videos"):
                raise InvalidArgumentError(f"Sampling.{name}", value, f"is more than {most:,}", "Give fewer.")
        free, num_videos = available_memory(), min(self.batch_size, self.num_videos)
        if free is None or num_videos * per_video <= free:
            return
        if streamed:
            problem = (
                f"clips of {num_videos} videos of {height} x {width} pixels need {num_videos * per_video / 2**30:.1f}"
            )
            problem += f" GiB, {free / 2**30:.1f} GiB are free"
            raise InvalidArgumentError("Sampling.batch_size", self.batch_size, problem, "Give less.")
        most = free // (per_video // (self.num_frames or frames))
        raise InvalidArgumentError(
            "Sampling.num_frames",
            self.num_frames or frames,
            f"a batch of {num_videos} such videos of {height} x {width} pixels needs "
            f"{num_videos * per_video / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free",
            f"Ask for at most {most} frames in all at once: fewer frames, or a smaller Sampling.batch_size.",
        )
