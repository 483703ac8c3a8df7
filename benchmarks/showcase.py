"""Pictures of what a stage-two checkpoint makes, for its folder or a README.

    python benchmarks/showcase.py runs/.../checkpoints/last.ckpt --out pictures

comparison.png: held-out clips, their reconstructions and samples, a row of still frames each. samples.webp: a grid of
samples that plays. long.webp: videos of four clips. Frames are enlarged pixel by pixel to at least 128 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from yardstick.data import data_options, load_pipeline, real_clips

from pvdm_lightning.data.videos.contact_sheet import contact_sheet, video_grid


def write_webp(video: Tensor, path: Path, fps: float) -> None:
    """An endless animated WebP of a video uint8 [3 T H W]."""
    first, *rest = (Image.fromarray(frame) for frame in video.permute(1, 2, 3, 0).contiguous().numpy())
    options = {"duration": round(1000 / fps), "loop": 0, "quality": 90, "method": 6}
    first.save(path, "WEBP", save_all=True, append_images=rest, **options)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of stage two")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--rows", type=int, default=4, help="clips of each kind in the comparison")
    parser.add_argument("--columns", type=int, default=6, help="videos in a row of the grids")
    parser.add_argument("--sampler", default="dpm_solver")
    parser.add_argument("--num-inference-steps", type=int, default=20)
    parser.add_argument("--guidance-scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fps", type=float, default=12)
    args = parser.parse_args()

    pipeline = load_pipeline(args.checkpoint)
    how = {"sampler": args.sampler, "num_inference_steps": args.num_inference_steps, "seed": args.seed}
    how |= {"guidance_scale": args.guidance_scale, "batch_size": 12}
    clips = pipeline.sample(num_videos=2 * args.columns, **how)
    videos = pipeline.sample(num_videos=args.columns, num_frames=4 * pipeline.clip_shape[0], **how)

    args.out.mkdir(parents=True, exist_ok=True)
    write_webp(video_grid(clips, args.columns), args.out / "samples.webp", args.fps)
    write_webp(video_grid(videos, args.columns), args.out / "long.webp", args.fps)
    options, (frames, height, width) = data_options(pipeline), pipeline.clip_shape
    if options is None:
        parser.error(f"{args.checkpoint} was not trained on generated videos of one shape (max_shapes: 1)")
    real = real_clips(options, 0, args.rows, frames, (height, width))
    rows = torch.cat([real, pipeline.reconstruct(real), clips[: args.rows]])
    contact_sheet(rows).save(args.out / "comparison.png")


if __name__ == "__main__":
    main()
