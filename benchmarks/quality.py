"""How good the videos of a checkpoint are, on generated data, whose factors are known.

    python benchmarks/quality.py runs/.../checkpoints/last.ckpt
    python benchmarks/quality.py runs/.../checkpoints/last.ckpt --num-frames 64 --controls --out quality.json

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
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from yardstick.clip import ClipMeasures, measure
from yardstick.controls import blurred, noise, shuffled
from yardstick.data import data_options, load_pipeline, real_clips
from yardstick.frechet import distance
from yardstick.summary import Interval, summarise
from yardstick.transnet import TransNetFeatures, features_if_installed

from pvdm_lightning import VideoPipeline


def training_flops(pipeline: VideoPipeline) -> float:
    """Floating-point operations of training on one sample: forward and backward of the stage that was trained."""
    network = pipeline.first_stage.autoencoder
    with FlopCounterMode(display=False) as counter:
        if pipeline.unet is None:
            network.requires_grad_(True)(torch.zeros(1, 3, *network.clip_shape)).sum().backward()
            network.requires_grad_(False)
        else:
            z = torch.zeros(1, network.latent_channels, network.latent_shape.num_tokens)
            pipeline.unet.requires_grad_(True)(z, torch.zeros(1)).sum().backward()
            pipeline.unet.requires_grad_(False)
    return float(counter.get_total_flops())


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
            sys.stdout.write(f"{'':20s}" + "".join(f"{column:>19s}" for column in row) + "\n")
        self.rows[name] = row
        sys.stdout.write(f"{name:20s}" + "".join(f"{_printed(interval):>19s}" for interval in row.values()) + "\n")


def _printed(interval: Interval) -> str:
    value, low, high = interval
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} ({low:.2f}-{high:.2f})"


def main() -> None:
    """Print the table of a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of either stage, or a folder of save_pretrained")
    parser.add_argument("--num-videos", type=int, default=64)
    parser.add_argument("--num-frames", type=int, help="of the samples; default: one clip")
    parser.add_argument("--sampler", default="dpm_solver")
    parser.add_argument("--num-inference-steps", type=int, default=20)
    parser.add_argument("--guidance-scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--controls", action="store_true", help="rows of spoiled real clips")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()

    pipeline = load_pipeline(args.checkpoint)
    options = data_options(pipeline)
    if options is None:
        parser.error(f"{args.checkpoint} was not trained on generated videos of one shape (max_shapes: 1)")
    frames, height, width = pipeline.clip_shape
    patch, count = pipeline.first_stage.autoencoder.config["patch"], args.num_videos
    length = args.num_frames or frames

    steps, flops = pipeline.about["steps"], training_flops(pipeline)
    sys.stdout.write(f"{args.checkpoint}: {steps} steps, {flops / 1e9:.2f} GFLOP a training sample\n\n")
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
    if pipeline.unet is not None:
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
        sys.stdout.write(f"\n{count} samples took {time.perf_counter() - started:.0f} s\n")
    if args.out is not None:
        args.out.write_text(json.dumps({"steps": steps, "flops": flops, "rows": table.rows}, indent=1))


if __name__ == "__main__":
    main()
