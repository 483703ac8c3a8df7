"""What the index of very many videos costs: time and memory, apart from the decoding itself.

    python benchmarks/video_index.py --videos 100000

Empty files stand for the videos, and a probe that answers at once for the decoding: add to the build the time that
`pvdm check-data` takes for some of your own files, times their number, divided by the number of cores.
"""

import argparse
import pickle
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pvdm_lightning.data.clips.clip_dataset import ClipDataset
from pvdm_lightning.data.clips.sampler import EpochSampler
from pvdm_lightning.data.clips.windows import Windows
from pvdm_lightning.data.videos.build_index import load_or_build
from pvdm_lightning.data.videos.source import IndexedVideos
from pvdm_lightning.data.videos.video_index import FILE_NAME
from pvdm_lightning.data.videos.video_info import Route, VideoInfo
from pvdm_lightning.data.videos.video_tree import find_videos, hold_out


def instant_probe(path: Path) -> VideoInfo:
    """Answers like a good UCF-101 file without looking."""
    return VideoInfo(180, 240, 320, 25.0, "mpeg4", 0, Route.SCAN, 1, 1.0)


def main() -> None:
    """Build, reload and use an index, and print a line for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument(
        "--memory", action="store_true", help="measure memory: much slower, so the seconds do not count"
    )
    args = parser.parse_args()
    say = sys.stdout.write

    def step(what: str, work: Callable[[], Any]) -> Any:
        if args.memory:
            tracemalloc.start()
        started = time.perf_counter()
        result = work()
        line = f"{what:44s}{time.perf_counter() - started:8.2f} s"
        if args.memory:
            kept, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            line += f"{kept / 1e6:10.1f} MB kept{peak / 1e6:10.1f} MB at most"
        say(line + "\n")
        return result

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(args.videos):
            path = root / f"class_{number % 1000:04d}" / f"v_class_{number % 1000:04d}_clip_{number:07d}.avi"
            if number < 1000:
                path.parent.mkdir()
            path.touch()
        names = step("list the folder", lambda: find_videos(root))
        step("hold out videos to validate on", lambda: hold_out(names, 0.1))
        index = step("build the index (no decoding)", lambda: load_or_build(root, names, instant_probe, progress=False))
        index = step(
            "load it again, nothing changed", lambda: load_or_build(root, names, instant_probe, progress=False)
        )
        step("load it for every second video", lambda: load_or_build(root, names[::2], instant_probe, progress=False))
        dataset = step(
            "data set", lambda: ClipDataset(IndexedVideos(index), Windows(16), (256, 256), random_start=True)
        )
        sampler = EpochSampler(len(dataset), 64, training=True)
        step("first batch of an epoch", lambda: next(iter(sampler)))
        say(f"file on disk {(root / FILE_NAME).stat().st_size / 1e6:.1f} MB, ")
        say(f"data set sent to a worker {len(pickle.dumps(dataset)) / 1e6:.1f} MB, ")
        names_bytes = index.names.block.nbytes + index.names.ends.nbytes
        say(f"lines {index.lines.nbytes / 1e6:.1f} MB, names {names_bytes / 1e6:.1f} MB, ")
        say(f"videos {np.count_nonzero(index.lines['frames'])}\n")


if __name__ == "__main__":
    main()
