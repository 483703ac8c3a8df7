"""How good the videos of a checkpoint are.

    python -m benchmarks quality runs/ldm-synthetic-64/latest
    python -m benchmarks quality showcase --num-frames 64 --controls --out quality.json
    python -m benchmarks quality runs/ldm-games-64/latest --controls

Rows: other real clips (the noise floor), reconstructions, samples; with --controls also real clips spoiled in several
ways, which the columns must order. Columns have the 5th to 95th percentile of a bootstrap over clips.

Of generated videos of one shape, whose factors are known:

    empty        share of clips that show nothing
    one object   share with exactly one compact object in 9 of 10 frames
    recognised   share whose object is like one kind of shape all along
    kinds        distance of the shares of kinds to the real ones, 0 to 1
    factors      mean distance of colour, size, position, speed, turning and growth, in real standard deviations
    sharpness    of edges, 1 is real
    texture      root mean square of what is left of the background without its linear fit, grey levels
    grid         change across borders of patches beyond that elsewhere, grey levels
    TransNetV2   Frechet distance over features of TransNetV2; not an FVD

A second table shows how videos longer than a clip go on from one generated clip to the next:

    jump                change from clip to clip over change inside clips, 1 is real
    colour at borders   change of the object's colour from clip to clip, grey levels
    colour inside       the same from frame to frame inside clips
    same object         share of videos whose last clip shows the same kind and colour as the first

Models conditioned on known frames, whose clips overlap, get rows for samples without overlap and for videos that go on
from real clips, and the PSNR of known frames beside that of reconstructions. Models conditioned on classes get a table
by class: the share of samples that show their class, as a classifier without weights finds it ("real" is its accuracy
on real clips), and the TransNetV2 distance to real clips of their own and of other classes.

Of any other data set, beside four times as many clips of its training videos (with the network TransNetV2):

    Frechet   distance over features of TransNetV2; not an FVD
    kernel    polynomial MMD over the same, times 1,000
    class     share that shows its class, as logistic regression on features of training clips finds it
    motion    mean absolute change from frame to frame, 1 is real
    motions   Wasserstein distance of the clips' motions to those of real clips, in their mean
    nearest   distance to the nearest training clip, seen small, 1 is real; near 0 are copies. Blurred clips come nearer

"real" are clips of held-out videos: its class accuracy is the classifier's. "trained on" are training videos, at other
places than those compared with. A second table has the accuracy by class.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import say
from benchmarks.yardstick.borders import measure_borders
from benchmarks.yardstick.clip import measure
from benchmarks.yardstick.conditions import class_accuracy, class_distances, known_frames_psnr
from benchmarks.yardstick.controls import blurred, noise, shuffled
from benchmarks.yardstick.data import Samples, add_sampling_options, clips_of, load_pipeline, real_videos, shape_options
from benchmarks.yardstick.features import distance, features_of, network_if_installed
from benchmarks.yardstick.footage import Footage, FootageTable
from benchmarks.yardstick.summary import interval, mean, summarise
from benchmarks.yardstick.table import Table
from pvdm_lightning import VideoPipeline
from pvdm_lightning.data.videos.synthetic import SHAPES
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.metrics import TRANSNETV2


class ClipTable(Table):
    """Measures sets of clips and prints a row for each."""

    def __init__(self, real: Tensor, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.network = network_if_installed()
        self.real = [measure(clip, patch) for clip in real]
        self.features: dict[str, Tensor] = (
            {} if self.network is None else {"reference": features_of(self.network, real)}
        )

    def judge(self, name: str, clips: Tensor) -> None:
        """Print the row of a set of clips."""
        row = summarise([measure(clip, self.patch) for clip in clips], self.real)
        if self.network is not None:
            self.features[name] = features_of(self.network, clips)
            row["TransNetV2"] = (distance(self.features[name], self.features["reference"]), math.nan, math.nan)
        self.add(name, row)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to judge."""
    options.add_argument("checkpoint", help="of either stage, its run, or a folder of save_pretrained")
    options.add_argument("--num-videos", type=int, default=64)
    options.add_argument("--num-frames", type=int, help="of the samples; default: one clip")
    add_sampling_options(options)
    options.add_argument("--controls", action="store_true", help="rows of spoiled real clips")
    options.add_argument("--data-root", help="folder of the data set, if it is not where it was in training")
    options.add_argument("--out", type=Path, help="JSON file for the figures")


def run(args: argparse.Namespace) -> None:
    """Print the tables of a checkpoint."""
    pipeline = load_pipeline(args.checkpoint)
    say(f"{args.checkpoint}: {pipeline.about['steps']} steps\n")
    options = shape_options(pipeline)
    tables = _judge_footage(pipeline, args) if options is None else _judge_shapes(pipeline, options, args)
    if args.out is not None:
        figures = {name: table.rows for name, table in tables.items()}
        args.out.write_text(json.dumps({"steps": pipeline.about["steps"], **figures}, indent=1))


def _judge_footage(pipeline: VideoPipeline, args: argparse.Namespace) -> dict[str, Table]:
    footage, network = Footage(pipeline, args.checkpoint, args.data_root), network_if_installed()
    if network is None:
        problem = "was trained on data without known factors, which is measured with TransNetV2"
        raise InvalidArgumentError("checkpoint", args.checkpoint, problem, TRANSNETV2.file.how_to_get())
    count, patch = args.num_videos, pipeline.first_stage.autoencoder.config["patch"]
    real, labels = footage.clips("val", count)
    table = FootageTable(footage, network, 4 * count, real)
    table.judge("real", real, labels)
    if args.controls:
        table.judge("trained on", *footage.clips("train", count, draw=1))
        table.judge("blurred", blurred(real), labels)
        table.judge("shuffled", shuffled(real, patch), labels)
        table.judge("noise", noise(real), labels)
        table.judge("frozen", real[:, :, :1].expand_as(real), labels)
    table.judge("reconstructions", pipeline.reconstruct(real), labels)
    samples = Samples(pipeline, args)
    if pipeline.denoiser is not None:
        table.judge("samples", samples(num_videos=count))
        if samples.take("label"):
            table.judge("by class", *samples.by_class(count, footage.class_names))
    classes = Table()
    for name, row in table.right.items():
        if row:
            classes.add(name, row)
    return {"rows": table, "classes": classes}


def _judge_shapes(pipeline: VideoPipeline, options: dict[str, Any], args: argparse.Namespace) -> dict[str, Table]:
    frames, size = pipeline.clip_shape[0], pipeline.clip_shape[1:]
    patch, count = pipeline.first_stage.autoencoder.config["patch"], args.num_videos
    length = args.num_frames or frames

    videos, others = (real_videos(options, first, count) for first in (0, count))
    real, other = (clips_of(some, length, size) for some in (videos, others))
    clips = ClipTable(real, patch)
    clips.judge("real", other)
    if args.controls:
        clips.judge("blurred", blurred(other))
        clips.judge("shuffled", shuffled(other, patch))
        clips.judge("noise", noise(other))
    whole = real[:, :, : length // frames * frames or frames]
    clips.judge(
        "reconstructions", torch.cat([pipeline.reconstruct(some) for some in whole.split(frames, dim=2)], dim=2)
    )
    tables: dict[str, Table] = defaultdict(Table, rows=clips)
    samples = Samples(pipeline, args)
    if pipeline.denoiser is not None:
        started = time.perf_counter()
        drawn = samples(num_videos=count, num_frames=length)
        taken = time.perf_counter() - started
        clips.judge("samples", drawn)
        if samples.take("label"):
            drawn_by_class, labels = samples.by_class(count, SHAPES)
            clips.judge("by class", drawn_by_class)
            for name, some, of in (("real", other, others.labels), ("by class", drawn_by_class, labels)):
                tables["classes"].add(f"{name}: accuracy", class_accuracy(some, of))
                if clips.network is not None:
                    own, rest = class_distances(clips.features[name], of, clips.features["reference"], videos.labels)
                    tables["classes"].add(f"{name}: own", own)
                    tables["classes"].add(f"{name}: others", rest)
        if samples.take("known") and length <= frames:
            drawn = samples(num_videos=-(-count // 4), num_frames=4 * frames)
        if drawn.shape[2] > frames:
            longer = clips_of(real_videos(options, count, len(drawn)), frames + drawn.shape[2], size)
            _judge_borders(tables, samples, longer, drawn)
        say(f"\n{count} samples took {taken:.0f} s\n")
    return tables


def _judge_borders(tables: dict[str, Table], samples: Samples, real: Tensor, drawn: Tensor) -> None:
    """Print how long samples go on from clip to clip, beside real videos, which are a clip longer."""
    frames, length, overlap = samples.pipeline.clip_shape[0], drawn.shape[2], samples.overlap
    table = tables["borders"]
    table.add("real", measure_borders(real[:, :, :length], frames))
    table.add("samples", measure_borders(drawn, frames, overlap))
    if not overlap:
        return
    apart = samples(num_videos=len(drawn), num_frames=length, overlap=0)
    table.add("without overlap", measure_borders(apart, frames))
    before, given = real[:, :, :frames], real[:, :, frames - overlap : 2 * frames - overlap]
    continued = samples.going_on(before, length)
    joined = torch.cat([before, continued[:, :, overlap:]], dim=2)
    table.add("from real clips", measure_borders(joined, frames, overlap))
    known = (torch.arange(frames) < overlap).expand(len(given), -1)
    reconstructed = samples.pipeline.reconstruct(given)
    for name, clips in (("known frames", continued[:, :, :frames]), ("reconstructed", reconstructed)):
        tables["known"].add(name, {"PSNR": interval(known_frames_psnr(clips, given, known).tolist(), mean)})
