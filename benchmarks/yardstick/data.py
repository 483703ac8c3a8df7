"""A trained pipeline, what it samples, and real clips of the generated set that it was trained on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import say
from pvdm_lightning import VideoPipeline
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.pipeline.runs import checkpoint_in

FRAMES = 64
SAMPLING = (
    *("sampler", "num_inference_steps", "overlap", "seed", "guidance_scale", "guidance_scale_label"),
    *("guidance_scale_known", "guidance_interval", "autoguidance", "autoguidance_scale"),
)
"""Options of `VideoPipeline.sample` that `add_sampling_options` adds."""


def load_pipeline(path: str) -> VideoPipeline:
    """The pipeline of a checkpoint or run, or of a folder that `save_pretrained` wrote."""
    file = checkpoint_in(path, "checkpoint")
    pipeline = VideoPipeline.from_checkpoint(file) if file.is_file() else VideoPipeline.from_pretrained(path)
    for part in (pipeline.first_stage, pipeline.denoiser):
        if part is not None:
            accelerate(part)
    return pipeline


def add_sampling_options(options: argparse.ArgumentParser) -> None:
    """How samples are drawn."""
    options.add_argument("--sampler", default="dpm_solver")
    options.add_argument("--num-inference-steps", type=int, default=20)
    for part in ("", "-label", "-known"):
        options.add_argument(f"--guidance-scale{part}", type=float, default=1.0)
    options.add_argument("--guidance-interval", type=float, nargs=2, default=(0.0, 1.0))
    options.add_argument("--autoguidance", help="checkpoint of a worse network; see docs/guidance.md")
    options.add_argument("--autoguidance-scale", type=float, default=1.0)
    options.add_argument("--overlap", type=int, help="frames that a clip continues; default: as the model does")
    options.add_argument("--seed", type=int, default=0)


class Samples:
    """What a pipeline samples with the options of `add_sampling_options`: calling it is `VideoPipeline.sample`.

    Without `class_names`, samples are of no class.

    Attributes:
        overlap: Frames of each clip that the next one continues.
    """

    def __init__(self, pipeline: VideoPipeline, args: argparse.Namespace) -> None:
        self.pipeline, self.overlap = pipeline, 0
        self.options = {name: getattr(args, name) for name in SAMPLING} | {"batch_size": 16, "class_names": []}
        if pipeline.denoiser is not None:
            sampling = pipeline.sampling if args.overlap is None else replace(pipeline.sampling, overlap=args.overlap)
            self.overlap = sampling.overlap_of(pipeline.denoiser, pipeline.clip_shape[0])

    def __call__(self, **options: Any) -> Tensor:
        return self.pipeline.sample(**{**self.options, **options})

    def take(self, part: str) -> bool:
        """Whether samples can be conditioned on a part of `Condition`; prints that they cannot."""
        if self.pipeline.denoiser is not None and part in self.pipeline.denoiser.conditions:
            return True
        say(f"\nnothing by {part}: the model is not conditioned on it\n")
        return False

    def by_class(self, count: int, names: Sequence[str]) -> tuple[Tensor, np.ndarray]:
        """Clips of each of these classes in turn, uint8 [N 3 S H W], and their places among the names, int64 [N]."""
        return self(num_videos=count, class_names=names), np.arange(count) % len(names)

    def going_on(self, clips: Tensor, num_frames: int) -> Tensor:
        """Videos uint8 [N 3 num_frames H W] that begin with the last `overlap` frames of clips uint8 [N 3 S H W]."""
        first = clips.roll(self.overlap, dims=2)  # what follows the known frames has no effect
        return self(num_videos=len(clips), num_frames=num_frames, known=first, known_mask=f"first:{self.overlap}")


def shape_options(pipeline: VideoPipeline) -> dict[str, Any] | None:
    """Arguments of the generated set of one shape that a pipeline was trained on; None if it was another set."""
    data = pipeline.about.get("data") or {}
    options = data.get("init_args", {})
    return (
        dict(options)
        if data.get("class_path") == "pvdm_lightning.Synthetic" and options.get("max_shapes", 2) == 1
        else None
    )


def real_videos(options: dict[str, Any], first: int, count: int) -> SyntheticVideos:
    """Generated videos that were not trained on."""
    backgrounds, seed = options.get("backgrounds", "coloured"), options.get("seed", 0)
    return SyntheticVideos(2**41 + first, count, FRAMES, seed, options.get("max_shapes", 2), backgrounds)


def clips_of(videos: SyntheticVideos, frames: int, size: tuple[int, int]) -> Tensor:
    """A clip from the middle of each video: uint8 [N 3 T H W]."""
    start = max(0, FRAMES - frames) // 2
    return torch.stack([videos.read(i, range(start, start + frames), size) for i in range(len(videos.lengths))])
