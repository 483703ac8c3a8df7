"""A trained pipeline, and real clips of the generated set that it was trained on."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from pvdm_lightning import VideoPipeline
from pvdm_lightning.cpu.accelerate import accelerate
from pvdm_lightning.data.videos.synthetic import SyntheticVideos
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pipeline.runs import checkpoint_in

FRAMES = 64


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
    options.add_argument("--guidance-scale", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=0)


def data_options(pipeline: VideoPipeline, checkpoint: str) -> dict[str, Any]:
    """Arguments of the generated set of one shape that a pipeline was trained on.

    Raises:
        InvalidArgumentError: It was trained on another one.
    """
    data = pipeline.about.get("data") or {}
    options = data.get("init_args", {})
    if data.get("class_path") != "pvdm_lightning.Synthetic" or options.get("max_shapes", 2) != 1:
        problem = "was not trained on generated videos of one shape (max_shapes: 1)"
        raise InvalidArgumentError("checkpoint", checkpoint, problem, "Name one that was, such as showcase.")
    return dict(options)


def real_clips(options: dict[str, Any], first: int, count: int, frames: int, size: tuple[int, int]) -> Tensor:
    """Clips from the middle of generated videos that were not trained on: uint8 [N 3 T H W]."""
    length = max(FRAMES, frames)
    backgrounds, seed = options.get("backgrounds", "coloured"), options.get("seed", 0)
    videos = SyntheticVideos(2**41 + first, count, length, seed, options.get("max_shapes", 2), backgrounds)
    start = (length - frames) // 2
    return torch.stack([videos.read(i, range(start, start + frames), size) for i in range(count)])
