"""Clips per second from video files: the readers of this project beside decoding from the start and whole videos.

    python benchmarks/decoding.py data/UCF-101 --workers 2

Every reader gives the same random windows of the same videos, cropped and resized alike, through the same loader:

- ours: the route that the index found for each file.
- sequential: PyAV decodes from the first frame up to the window's end, and converts the window's frames only.
- whole: PyAV decodes and converts the whole video, and the window is cut out of it and resized as floats. This is what
  the original implementation of PVDM does.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pvdm_lightning.data.clips.transforms import centre_crop_box, crop_and_resize
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos import decoding, probing
from pvdm_lightning.data.videos.build_index import load_or_build
from pvdm_lightning.data.videos.video_index import VideoIndex
from pvdm_lightning.data.videos.video_tree import find_videos


class Clips(Dataset[Tensor]):
    """Random windows, drawn once, read by one of the readers."""

    def __init__(self, index: VideoIndex, reader: str, windows: Windows, resolution: int, clips: int) -> None:
        self.index, self.reader, self.windows, self.size = index, reader, windows, (resolution, resolution)
        rng = np.random.default_rng(0)
        usable = np.flatnonzero(index.lines["frames"] >= windows.clip_span)
        self.videos = rng.choice(usable, clips)
        self.starts = [rng.integers(windows.num_starts(int(index.lines["frames"][video]))) for video in self.videos]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, number: int) -> Tensor:
        video = int(self.videos[number])
        path, frames = self.index.path(video), self.windows.clip_frames(int(self.starts[number]))
        if self.reader == "whole":
            return self.whole(path, frames)
        if self.reader == "sequential":
            info = self.index.info(video)
            shown = (decoding.to_rgb(frame, info) for frame in decoding.pick(decoding.scan(path), frames))
            return torch.stack([crop_and_resize(frame, self.size) for frame in shown], dim=1)
        read = decoding.read_frames(
            path, self.index.info(video), frames, lambda frame: crop_and_resize(frame, self.size)
        )
        return torch.stack(read, dim=1)

    def whole(self, path: Path, frames: list[int]) -> Tensor:
        with av.open(str(path)) as container:
            video = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        clip = torch.from_numpy(video)[frames].float().permute(0, 3, 1, 2)
        top, left, height, width = centre_crop_box(video.shape[1], video.shape[2], self.size)
        clip = F.interpolate(clip[:, :, top : top + height, left : left + width], size=self.size, mode="bilinear")
        return clip.permute(1, 0, 2, 3).to(torch.uint8)


def lengths_of(index: VideoIndex) -> str:
    """How long the videos are, in words."""
    frames = index.lines["frames"][index.lines["frames"] > 0]
    return f"{frames.min()}-{frames.max()} frames, mean {frames.mean():.0f}"


def passes(loader: DataLoader[Tensor], repeats: int) -> Iterator[float]:
    """Seconds that each of several passes takes."""
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in loader:
            pass
        yield time.perf_counter() - started


def main() -> None:
    """Time the three readers in turn and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of videos")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--clips", type=int, default=200, help="clips a pass")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="passes after the first; the median counts")
    parser.add_argument("--longer-than", type=int, default=0, help="leave out videos of fewer frames")
    parser.add_argument("--train-batch", type=int, default=64, help="for the training steps a second that this feeds")
    args = parser.parse_args()

    index = load_or_build(args.root, find_videos(args.root), probing.probe)
    index.lines["frames"][index.lines["frames"] < args.longer_than] = 0
    if not (index.lines["frames"] >= args.frames).any():
        sys.exit(f"--longer-than {args.longer_than}: no video of {args.root} is left. Give less, or longer videos.")
    routes = np.bincount(index.lines["route"][index.lines["frames"] > 0])
    by_route = ", ".join(
        f"{probing.Route(number).name.lower()} {count}" for number, count in enumerate(routes) if count
    )
    say = sys.stdout.write
    say(f"{args.root}: {int((index.lines['frames'] > 0).sum())} videos, {lengths_of(index)}; routes: {by_route}\n")
    say(f"clips of {args.frames} x {args.resolution} x {args.resolution}, {args.workers} workers\n\n")
    say(f"{'reader':12s}{'clips/s':>10s}{'ms a clip':>12s}{'ours is':>10s}{f'steps/s at {args.train_batch}':>16s}\n")
    speeds: dict[str, float] = {}
    for reader in ("ours", "sequential", "whole"):
        clips = Clips(index, reader, Windows(args.frames), args.resolution, args.clips)
        loader = DataLoader(clips, args.batch_size, num_workers=args.workers, persistent_workers=args.workers > 0)
        seconds = sorted(list(passes(loader, args.repeats + 1))[1:])[args.repeats // 2]
        speeds[reader] = args.clips / seconds
        ratio = speeds["ours"] / speeds[reader]
        busy = 1000 * seconds * max(args.workers, 1) / args.clips
        say(f"{reader:12s}{speeds[reader]:10.1f}{busy:12.1f}{ratio:9.2f}x{speeds[reader] / args.train_batch:16.2f}\n")


if __name__ == "__main__":
    main()
