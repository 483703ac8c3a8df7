"""Pictures of what a stage-two checkpoint samples, for a README.

    python -m benchmarks showcase runs/ldm-ucf101-256/latest --out pictures

comparison.png: held-out clips, their reconstructions and samples, a row of still frames each. samples.webp: a grid of
samples that plays. long.webp: videos of four clips. classes.png, where the model takes classes: for each, beneath its
name, still frames of a held-out clip and of a sample; classes.webp: two held-out clips and four samples of each play.
continuation.webp, where the model takes known frames: real videos, and below each what the model makes of its second
half, where the data has videos of four clips. Frames are enlarged pixel by pixel to at least 128 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.yardstick.data import Samples, add_sampling_options, load_pipeline
from benchmarks.yardstick.footage import Footage
from pvdm_lightning.data.output.contact_sheet import caption_strip, contact_sheet, video_grid

REAL, SAMPLED = 2, 4
"""Clips of each class that play."""


def write_webp(video: Tensor, path: Path, fps: float) -> None:
    """An endless animated WebP of a video uint8 [3 T H W]."""
    first, *rest = (Image.fromarray(frame) for frame in video.permute(1, 2, 3, 0).contiguous().numpy())
    options = {"duration": round(1000 / fps), "loop": 0, "quality": 90, "method": 6}
    first.save(path, "WEBP", save_all=True, append_images=rest, **options)


def write_classes(footage: Footage, samples: Samples, args: argparse.Namespace) -> None:
    """Real clips beside sampled ones, a class a row: still frames of one of each, and a grid of several that plays."""
    names = footage.class_names
    drawn, labels = samples.by_class(SAMPLED * len(names), names)
    stills, playing = [], []
    for label, name in enumerate(names):
        real, sampled = footage.clips("val", REAL, label=label)[0], drawn[labels == label]
        pictures = [np.array(contact_sheet(clips[:1], 4)) for clips in (real, sampled)]
        row = torch.from_numpy(np.concatenate(pictures, axis=1)).permute(2, 0, 1)
        stills += [caption_strip(name, row.shape[2]), row]
        grid = video_grid(torch.cat([real, sampled]), REAL + SAMPLED)
        caption = caption_strip(name, grid.shape[3])
        playing += [caption[:, None].expand(-1, grid.shape[1], -1, -1), grid]
    Image.fromarray(torch.cat(stills, dim=1).permute(1, 2, 0).numpy()).save(args.out / "classes.png")
    write_webp(torch.cat(playing, dim=2), args.out / "classes.webp", args.fps)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to sample, and where to."""
    options.add_argument("checkpoint", help="of stage two, its run, or a folder of save_pretrained")
    options.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options.add_argument("--rows", type=int, default=4, help="clips of each kind in the comparison")
    options.add_argument("--columns", type=int, default=6, help="videos in a row of the grids")
    options.add_argument("--data-root", help="folder of the data set, if it is not where it was in training")
    add_sampling_options(options)
    options.add_argument("--fps", type=float, default=12)


def run(args: argparse.Namespace) -> None:
    """Write the pictures."""
    pipeline = load_pipeline(args.checkpoint)
    footage, frames = Footage(pipeline, args.checkpoint, args.data_root), pipeline.clip_shape[0]
    samples = Samples(pipeline, args)
    clips = samples(num_videos=2 * args.columns)
    videos = samples(num_videos=args.columns, num_frames=4 * frames)
    few, _ = footage.clips("val", args.rows)

    args.out.mkdir(parents=True, exist_ok=True)
    contact_sheet(torch.cat([few, pipeline.reconstruct(few), clips[: args.rows]])).save(args.out / "comparison.png")
    write_webp(video_grid(clips, args.columns), args.out / "samples.webp", args.fps)
    write_webp(video_grid(videos, args.columns), args.out / "long.webp", args.fps)
    if samples.take("label"):
        write_classes(footage, samples, args)
    if samples.take("known") and samples.overlap and footage.longest("val") >= 4 * frames:
        whole, _ = footage.clips("val", args.columns, 4 * frames)
        before = whole[:, :, : 2 * frames]
        continued = samples.going_on(before[:, :, frames:], 2 * frames + samples.overlap)[:, :, samples.overlap :]
        pairs = torch.cat([whole, torch.cat([before, continued], dim=2)])
        write_webp(video_grid(pairs, args.columns), args.out / "continuation.webp", args.fps)
