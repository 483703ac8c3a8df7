"""How good the videos of a checkpoint are, on generated videos, whose factors are known.

    python -m benchmarks quality runs/ldm-synthetic-64/latest
    python -m benchmarks quality showcase --num-frames 64 --controls --out quality.json

Rows: other real clips (the noise floor), reconstructions, samples; with --controls also real clips spoiled in three
ways, which the columns must order. Columns, each with the 5th to 95th percentile of a bootstrap over clips:

    empty        share of clips that show nothing
    one object   share with exactly one compact object in 9 of 10 frames
    recognised   share whose object is like one kind of shape all along
    kinds        distance of the shares of kinds to the real ones, 0 to 1
    factors      mean distance of colour, size, position, speed, turning and growth, in real standard deviations
    sharpness    of edges, 1 is real
    texture      root mean square of what is left of the background without its linear fit, grey levels
    grid         change across borders of patches beyond that elsewhere, grey levels
    jump         change between clips over change inside clips, for videos longer than a clip
    TransNetV2   Frechet distance over features of TransNetV2 (extra "quality"); not an FVD
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import say
from benchmarks.yardstick.clip import ClipMeasures, measure
from benchmarks.yardstick.controls import blurred, noise, shuffled
from benchmarks.yardstick.data import add_sampling_options, data_options, load_pipeline, real_clips
from benchmarks.yardstick.features import TransNetFeatures, distance, features_if_installed
from benchmarks.yardstick.summary import Interval, summarise


class Table:
    """Measures sets of clips and prints a row for each."""

    def __init__(self, real: Tensor, patch: int, frames: int) -> None:
        self.patch, self.frames = patch, frames
        self.network: TransNetFeatures | None = features_if_installed()
        self.real = self._measure(real)
        self.real_features = None if self.network is None else self.network(real)
        self.rows: dict[str, dict[str, Interval]] = {}

    def _measure(self, clips: Tensor) -> list[ClipMeasures]:
        return [measure(clip, self.patch, self.frames) for clip in clips]

    def add(self, name: str, clips: Tensor) -> None:
        """Print the row of a set of clips."""
        row = summarise(self._measure(clips), self.real)
        if self.network is not None and self.real_features is not None:
            apart = distance(self.network(clips), self.real_features)
            row["TransNetV2"] = (apart, math.nan, math.nan)
        if not self.rows:
            say(f"{'':20s}" + "".join(f"{column:>19s}" for column in row) + "\n")
        self.rows[name] = row
        say(f"{name:20s}" + "".join(f"{_printed(interval):>19s}" for interval in row.values()) + "\n")


def _printed(interval: Interval) -> str:
    value, low, high = interval
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} ({low:.2f}-{high:.2f})"


def add_options(options: argparse.ArgumentParser) -> None:
    """What to judge."""
    options.add_argument("checkpoint", help="of either stage, its run, or a folder of save_pretrained")
    options.add_argument("--num-videos", type=int, default=64)
    options.add_argument("--num-frames", type=int, help="of the samples; default: one clip")
    add_sampling_options(options)
    options.add_argument("--controls", action="store_true", help="rows of spoiled real clips")
    options.add_argument("--out", type=Path, help="JSON file for the figures")


def run(args: argparse.Namespace) -> None:
    """Print the table of a checkpoint."""
    pipeline = load_pipeline(args.checkpoint)
    options = data_options(pipeline, args.checkpoint)
    frames, height, width = pipeline.clip_shape
    patch, count = pipeline.first_stage.autoencoder.config["patch"], args.num_videos
    length = args.num_frames or frames

    steps = pipeline.about["steps"]
    say(f"{args.checkpoint}: {steps} steps\n\n")
    real = real_clips(options, 0, count, length, (height, width))
    table = Table(real, patch, frames)
    other = real_clips(options, count, count, length, (height, width))
    table.add("real", other)
    if args.controls:
        table.add("blurred", blurred(other))
        table.add("shuffled", shuffled(other, patch))
        table.add("noise", noise(other))
    whole = real[:, :, : length // frames * frames or frames]
    table.add(
        "reconstructions", torch.cat([pipeline.reconstruct(clips) for clips in whole.split(frames, dim=2)], dim=2)
    )
    if pipeline.denoiser is not None:
        started = time.perf_counter()
        samples = pipeline.sample(
            num_videos=count,
            num_frames=length,
            num_inference_steps=args.num_inference_steps,
            sampler=args.sampler,
            guidance_scale=args.guidance_scale,
            seed=args.seed,
            batch_size=16,
        )
        table.add("samples", samples)
        say(f"\n{count} samples took {time.perf_counter() - started:.0f} s\n")
    if args.out is not None:
        args.out.write_text(json.dumps({"steps": steps, "rows": table.rows}, indent=1))
