"""Pictures of what a stage-two checkpoint samples, for a README.

    python -m benchmarks showcase runs/ldm-ucf101-256/latest --out pictures

comparison.png: held-out clips, their reconstructions and samples, a row of still frames each; where the model takes
classes, a sample of each class, too. samples.webp: a grid of samples that plays. long.webp: videos of four clips.
continuation.webp, where the model takes known frames: real videos, and below each what the model makes of its second
half. Frames are enlarged pixel by pixel to at least 128 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.yardstick.data import Samples, add_sampling_options, clips_of, data_options, load_pipeline, real_videos
from pvdm_lightning.data.output.contact_sheet import contact_sheet, video_grid
from pvdm_lightning.data.videos.synthetic import SHAPES


def write_webp(video: Tensor, path: Path, fps: float) -> None:
    """An endless animated WebP of a video uint8 [3 T H W]."""
    first, *rest = (Image.fromarray(frame) for frame in video.permute(1, 2, 3, 0).contiguous().numpy())
    options = {"duration": round(1000 / fps), "loop": 0, "quality": 90, "method": 6}
    first.save(path, "WEBP", save_all=True, append_images=rest, **options)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to sample, and where to."""
    options.add_argument("checkpoint", help="of stage two, its run, or a folder of save_pretrained")
    options.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options.add_argument("--rows", type=int, default=4, help="clips of each kind in the comparison")
    options.add_argument("--columns", type=int, default=6, help="videos in a row of the grids")
    add_sampling_options(options)
    options.add_argument("--fps", type=float, default=12)


def run(args: argparse.Namespace) -> None:
    """Write the pictures."""
    pipeline = load_pipeline(args.checkpoint)
    options, (frames, height, width) = data_options(pipeline, args.checkpoint), pipeline.clip_shape
    samples = Samples(pipeline, args)
    clips = samples(num_videos=2 * args.columns)
    videos = samples(num_videos=args.columns, num_frames=4 * frames)
    real = clips_of(real_videos(options, 0, args.rows), frames, (height, width))
    rows = [real, pipeline.reconstruct(real), clips[: args.rows]]
    if samples.take("label"):
        rows.append(samples.by_class(len(SHAPES))[0])

    args.out.mkdir(parents=True, exist_ok=True)
    contact_sheet(torch.cat(rows)).save(args.out / "comparison.png")
    write_webp(video_grid(clips, args.columns), args.out / "samples.webp", args.fps)
    write_webp(video_grid(videos, args.columns), args.out / "long.webp", args.fps)
    if samples.take("known") and samples.overlap:
        whole = clips_of(real_videos(options, 0, args.columns), 4 * frames, (height, width))
        before = whole[:, :, : 2 * frames]
        continued = samples.going_on(before[:, :, frames:], 2 * frames + samples.overlap)[:, :, samples.overlap :]
        pairs = torch.cat([whole, torch.cat([before, continued], dim=2)])
        write_webp(video_grid(pairs, args.columns), args.out / "continuation.webp", args.fps)
