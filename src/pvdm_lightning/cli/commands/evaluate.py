"""`pvdm evaluate`: measure a folder of generated videos, of any model, against a folder of real ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation import (
    Evaluation,
    FeatureNetworks,
    PairedProtocol,
    measure_features,
    measure_folders,
    measure_pairs,
)
from pvdm_lightning.evaluation.figures import NEEDS_NETWORK, is_answered
from pvdm_lightning.evaluation.processes import Processes, run_in_processes
from pvdm_lightning.evaluation.report import Report
from pvdm_lightning.evaluation.video_folder import InputOptions
from pvdm_lightning.output_lock import OutputLock
from pvdm_lightning.printing import print_result

ALONE = Processes()


def evaluate(
    evaluation: Evaluation,
    metrics: FeatureNetworks,
    real: str | None = None,
    generated: str | None = None,
    features: list[str] | None = None,
    resolution: int | tuple[int, int] | None = None,
    num_workers: int | None = None,
    processes: int = 1,
    device: str = "auto",
    allow_shared: bool = False,
    real_fps: float | None = None,
    real_lock: str | None = None,
    paired: bool = False,
    context_frames: int = 0,
    trajectories: Literal["best", "mean", "last"] | None = None,
) -> None:
    """Measure a folder of generated videos, of any model, against a folder of real ones: FVD and Inception Score.

    Videos are files, folders of frames, or uint8 arrays [T H W 3] or [N T H W 3] in .npy and .npz files, at any depth.
    Instead of videos, features may be given that an earlier evaluation has kept.

    Args:
        evaluation: What is measured, on which clips.
        metrics: Files of the networks that measure.
        real: Folder of real videos, or a text file with the path of one in each line.
        generated: Likewise of generated videos.
        features: Two files of features, the real side first, or one of a classifier: --features a.safetensors
            b.safetensors. What is computed from them is up to --evaluation.distances, .bootstrap and .inception_*.
        resolution: Height and width in pixels, or one number for both. Default: the generated videos' own.
        num_workers: Processes that read videos. Default: as many as there are cores, at most 8.
        processes: Processes that share the videos, each with a GPU of its own if there are as many.
        device: Where networks run: auto, cpu, cuda or cuda:1.
        allow_shared: Whether a video may be on both sides, as where a folder is measured against itself for a check.
        real_fps: Frames per second to which real videos are resampled, as --data.fps does for training. Default: each
            frame of a video.
        real_lock: A file that `pvdm check-data --lock FILE` wrote: the real videos must be those of it, in any split.
        paired: Compare videos of the same names instead: PSNR, SSIM and LPIPS, of all frames or of as many as
            --evaluation.frames says.
        context_frames: With `paired`, the first frames of predictions, which were given to the model: they are left
            out.
        trajectories: With `paired`, what counts of several generated videos x_0, x_1 for one real video x: the best by
            each metric, the mean, or the last one.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    least = (
        ("--resolution", min(size) if size else 1, 1),
        ("--num_workers", num_workers, 0),
        ("--processes", processes, 1),
    )
    for flag, value, at_least in least:
        check_at_least(flag, value, at_least)
    _device(device)
    if features is not None and (paired or real is not None or generated is not None):
        problem, remedy = "is given beside videos", "Give --features, or --real and --generated."
        raise InvalidArgumentError("--features", " ".join(features), problem, remedy)
    inputs = InputOptions(allow_shared, real_fps, real_lock)
    measure: Callable[[], Report]
    if features is not None:
        folder, chosen = Path(evaluation.dir), _device(device)
        measure, name = partial(measure_features, features, evaluation.figures(), folder, chosen), "features"
    elif real is None or generated is None:
        missing = "--real" if real is None else "--generated"
        raise InvalidArgumentError(
            missing, None, "is missing", "Example: pvdm evaluate --real videos --generated samples."
        )
    elif paired:
        pairs = _pairs(evaluation, context_frames, trajectories, size, num_workers)
        found = with_option_names(metrics.find(lpips=True, lpips_alex=True))
        measure, name = partial(measure_pairs, real, generated, pairs, found, _device(device), inputs), "pairs"
    elif context_frames or trajectories:
        option = "--context_frames" if context_frames else "--trajectories"
        raise InvalidArgumentError(
            option, context_frames or trajectories, "is for pairs of videos alone", "Give --paired, too."
        )
    else:
        options = (real, generated, evaluation, metrics, device, size, num_workers, inputs)
        measure, name = partial(run_in_processes, processes, _measure, *options), "folders"
    lock = OutputLock(Path(evaluation.dir), "Evaluation.dir")
    try:
        report = measure()
        path = report.write(Path(evaluation.dir), name)
    finally:
        lock.release()
    print_result(f"\n{report.table()}report: {path}\n")
    if not (report.metrics if name != "folders" else is_answered(report.metrics, evaluation.distances)):
        problem = f"{'no distance' if report.metrics else 'nothing'} was measured, for the reasons above"
        given = ("--generated", generated) if features is None else ("--features", " ".join(features))
        raise InvalidArgumentError(*given, problem, NEEDS_NETWORK)


def _pairs(
    evaluation: Evaluation,
    context_frames: int,
    trajectories: Literal["best", "mean", "last"] | None,
    size: tuple[int, int] | None,
    num_workers: int | None,
) -> PairedProtocol:
    """The options of pairs, of which there are as many as videos of the same name."""
    if len(evaluation.frames or [1]) != 1:
        remedy = "Give one, or leave it out for all."
        raise InvalidArgumentError("Evaluation.frames", evaluation.frames, "is not one length", remedy)
    for name, num in (("RealClips", evaluation.real.num), ("GeneratedClips", evaluation.generated.num)):
        if num is not None:
            raise InvalidArgumentError(f"{name}.num", num, "is no option of --paired, which takes all", "Leave it out.")
    length = evaluation.frames[0] if evaluation.frames else None
    return PairedProtocol(length, context_frames, trajectories, evaluation.real.stride or 1, size, num_workers)


def _measure(
    processes: Processes,
    real: str,
    generated: str,
    evaluation: Evaluation,
    metrics: FeatureNetworks,
    device: str,
    size: tuple[int, int] | None,
    num_workers: int | None,
    inputs: InputOptions,
) -> Report:
    """What each of several processes does."""
    networks = with_option_names(metrics.find("FVD", inception_score=evaluation.inception_splits > 0))
    chosen = _device(device, processes)
    return measure_folders(real, generated, evaluation, networks, chosen, size, num_workers, processes, inputs)


def _device(name: str, processes: Processes = ALONE) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and processes.world_size > 1:
        name = f"cuda:{processes.rank % torch.cuda.device_count()}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise InvalidArgumentError("--device", name, f"cannot be used ({reason})", "Give auto, cpu or cuda.") from None
